"""The measured service as a child process: started, asked, ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from typing import IO, Any, Final

import aiohttp
import orjson

from geoweir.errors import GeoweirError
from geoweir.sizing.derived import Derivation

__all__ = ["Child", "started"]

_START_S: Final = 60.0  # layers may be large
_END_S: Final = 20.0
_GIVE_UP_S: Final = 3.0  # for an end that was not asked for in order
_ANSWER_S: Final = 10.0
_LONGEST_LINE: Final = 300


class Child:
    """A running service."""

    def __init__(
        self, process: asyncio.subprocess.Process, url: str, http: aiohttp.ClientSession
    ) -> None:
        self._process = process
        self._url = url
        self._http = http

    @property
    def pid(self) -> int:
        """The service's process."""
        return self._process.pid

    async def account(self) -> dict[str, Any]:
        """``/api/account``."""
        found: dict[str, Any] = orjson.loads(await self._get("/api/account"))
        return found

    async def metrics(self) -> str:
        """``/metrics``."""
        return (await self._get("/metrics")).decode()

    async def stop(self) -> int:
        """An orderly end; the exit status."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_END_S):
                return await self._process.wait()
        except TimeoutError:
            raise GeoweirError(f"the service did not end within {_END_S:g} s.") from None

    async def _get(self, path: str) -> bytes:
        try:
            async with self._http.get(self._url + path) as answer:
                answer.raise_for_status()
                return await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            status = self._process.returncode
            why = f"it ended with status {status}" if status is not None else repr(error)
            raise GeoweirError(f"the service did not answer {path}: {why}.") from None


@contextlib.asynccontextmanager
async def started(config: str, derivation: Derivation) -> AsyncIterator[Child]:
    """Runs the service until the block is left; it never outlives us.

    Raises:
        GeoweirError: it did not start; its own last line.
    """
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "geoweir.sizing.served", config, derivation.text()),
            stdin=asyncio.subprocess.PIPE,  # it ends when this does, however we end
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us
        )
        try:
            url = await _ready(process, log)
            timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
            async with aiohttp.ClientSession(timeout=timeout) as http:
                yield Child(process, url, http)
        finally:
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends it in order where that is quick, else at once."""
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(_GIVE_UP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _ready(process: asyncio.subprocess.Process, log: IO[bytes]) -> str:
    line = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_S):
            line = await process.stdout.readline() if process.stdout is not None else b""
    if line:
        return line.decode().strip().rstrip("/")
    log.seek(0)
    said = log.read().decode(errors="replace").strip().splitlines()
    why = said[-1][:_LONGEST_LINE] if said else "it said nothing"
    raise GeoweirError(f"the service did not start with this configuration: {why}")
