"""One process of several: the whole service, shown to the supervisor instead of over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Final, Self

from geoweir.app.fleet.wire import (
    Answer,
    Ask,
    Assignment,
    Failed,
    Forward,
    FromMember,
    Ready,
    Report,
    frame,
    hear_supervisor,
)
from geoweir.app.service import Service
from geoweir.errors import WorkerError
from geoweir.mqtt.options import BrokerOptions
from geoweir.settings.values import MqttSettings
from geoweir.telemetry.log import LOGGER, configure, write
from geoweir.web.connections import problem
from geoweir.web.status import Status

__all__ = ["Member"]

_GOOD_BYE_S: Final = 1.0


class Member:
    """Runs a service until the supervisor says so, or is gone.

    Args:
        channel: our end of the socket.
        broker_options: how to reach the broker, from settings.
    """

    def __init__(
        self, channel: socket.socket, broker_options: Callable[[MqttSettings], BrokerOptions]
    ) -> None:
        self._channel = channel
        self._broker_options = broker_options
        self._stop = asyncio.Event()
        self._status: Status | None = None
        self._service: Service | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def run(self, named: Callable[[Exception], Failed | None]) -> int:
        """Runs to the end; the exit status.

        Args:
            named: what to tell the supervisor of an error; None for a fault in geoweir itself.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._look_at_layers)
        reader, self._writer = await asyncio.open_connection(sock=self._channel)
        assignment = await hear_supervisor(reader)
        if not isinstance(assignment, Assignment):
            raise WorkerError("the supervisor went away before it said what to do")
        try:
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(self._listen(reader), name="listen")
                await self._serve(assignment)
                listening.cancel()
        except Exception as error:
            failed = named(error)
            if failed is None:
                raise
            self._say(failed)
            return failed.status
        finally:
            await self._hang_up(self._writer)
        return 0

    def _look_at_layers(self) -> None:
        if self._service is not None:
            self._service.look_at_layers()

    async def _serve(self, assignment: Assignment) -> None:
        settings = assignment.settings
        configure(settings.log.level, settings.log.format, process=assignment.index)
        service = self._service = Service(
            settings,
            self._broker_options(settings.mqtt),
            waits_for_broker=assignment.waits_for_broker,
            show=partial(_Told, self, assignment.url),
        )
        await service.run(self._stop, lambda _: self._say(Ready()))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        async with asyncio.TaskGroup() as tasks:
            while (message := await hear_supervisor(reader)) is not None:
                match message:
                    case Ask():
                        self.report()
                    case Forward():
                        tasks.create_task(self._answer(message), name="answer")
                    case Assignment():
                        raise WorkerError("the supervisor said twice what to do")
        # Nobody would restart us or end us: the inputs wait at the broker for a new supervisor.
        self._stop.set()

    async def _answer(self, asked: Forward) -> None:
        """Answers a request that the supervisor got."""
        said = problem(503, "the process is not ready yet")
        if self._service is not None and self._status is not None:
            try:
                said = await self._service.kept.answer(asked)
            except Exception:  # noqa: BLE001 - whatever failed, the question gets an answer
                write(LOGGER, logging.ERROR, "http-failed", path=asked.path)
                LOGGER.debug("http-failed", exc_info=True)
                said = problem(500, "the service failed to answer; its log says why")
        body = said.body if isinstance(said.body, bytes) else b""
        self._say(Answer(asked.number, said.status, body))

    def show(self, status: Status) -> None:
        """Reports of this status from now on."""
        self._status = status
        self.report()

    def hide(self) -> None:
        """Reports the last numbers, so that the sum is whole, and no more."""
        self.report()
        self._status = None

    def report(self) -> None:
        """Says how things are, if there is anything to say yet."""
        status = self._status
        if status is not None:
            self._say(
                Report(
                    account=status.account(),
                    overview=status.overview(),
                    state=status.now(),
                    alive=status.alive(),
                    ready=status.ready(),
                    metrics=status.metrics(),
                )
            )

    def _say(self, message: FromMember) -> None:
        # One report per question: a supervisor that doesn't read asks for no more either.
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frame(message))

    @staticmethod
    async def _hang_up(writer: asyncio.StreamWriter) -> None:
        writer.close()
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_GOOD_BYE_S):  # a stopped supervisor reads nothing
                await writer.wait_closed()


class _Told:
    """The face of a service whose status the supervisor shows."""

    def __init__(self, member: Member, url: str, status: Status) -> None:
        self._member = member
        self._status = status
        self.url = url

    async def __aenter__(self) -> Self:
        self._member.show(self._status)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._member.hide()
