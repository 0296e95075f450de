"""The echo: aiomqtt as documented, doing nothing but pass each message on.

It is the most that any service on this client can reach that treats messages one by one.
"""

from __future__ import annotations

import argparse
import asyncio

import aiomqtt

from aiomqtt_client import make_client, parser, run_until_sigterm
from topics import IN, OUT


async def echo(client: aiomqtt.Client, slots: asyncio.Semaphore, message: aiomqtt.Message) -> None:
    try:
        topic = OUT + message.topic.value.rpartition("/")[2]
        await client.publish(topic, message.payload, qos=1)
    finally:
        slots.release()


async def serve(args: argparse.Namespace) -> None:
    slots = asyncio.Semaphore(args.tasks)
    async with make_client(args) as client, asyncio.TaskGroup() as tasks:
        await client.subscribe(IN + "+", qos=1)
        print("ready", flush=True)
        async for message in client.messages:
            await slots.acquire()
            if args.tasks == 1:
                await echo(client, slots, message)
            else:
                tasks.create_task(echo(client, slots, message))


if __name__ == "__main__":
    _parser = parser()
    _parser.add_argument("--tasks", type=int, default=1, help="messages in hand at most")
    run_until_sigterm(serve(_parser.parse_args()))
