"""A headless Chromium, driven over its own protocol: what a page shows and complains of."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

__all__ = ["Page", "open_page"]

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # a container's root has no other way
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)
_START_S = 60
_WAIT_S = 20
_UNTIL = """new Promise(done => {
  const look = () => (%s) ? done(true) : setTimeout(look, 50);
  look();
})"""


class Page:
    """One tab. ``complaints`` are errors and warnings of its console, in order."""

    def __init__(self, channel: aiohttp.ClientWebSocketResponse) -> None:
        self.complaints: list[str] = []
        self._channel = channel
        self._calls = 0

    async def open(self, url: str, *, width: int, height: int) -> None:
        """Loads an address in a window of a size in CSS pixels."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self._call(f"{domain}.enable")
        await self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < height,
        )
        await self._call("Page.navigate", url=url)
        await self.until(f"location.href === {url!r} && document.readyState === 'complete'")

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; of a promise, what it resolves to."""
        answer = await self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Waits until a JavaScript expression is true."""
        try:
            async with asyncio.timeout(_WAIT_S):
                await self.evaluate(_UNTIL % condition)
        except TimeoutError:
            text = await self.evaluate("document.body.innerText")
            raise AssertionError(f"never true: {condition}\n{text}\n{self.complaints}") from None

    async def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._calls += 1
        number = self._calls
        await self._channel.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._channel.receive_json()
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._listen(message.get("method", ""), message.get("params", {}))

    def _listen(self, event: str, said: dict[str, Any]) -> None:
        match event:
            case "Runtime.exceptionThrown":
                self.complaints.append(str(said["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if said["type"] in {"error", "warning", "assert"}:
                self.complaints.append(str(said["args"]))
            case "Log.entryAdded" if said["entry"]["level"] in {"error", "warning"}:
                self.complaints.append(str(said["entry"]))


@contextlib.asynccontextmanager
async def open_page(folder: Path) -> AsyncIterator[Page]:
    """A tab of a new browser without any history; skips, by name, where there is none."""
    binary = next(filter(None, map(shutil.which, _NAMES)), None)
    if binary is None:
        pytest.skip("no chromium on this machine")
    process = await asyncio.create_subprocess_exec(
        binary,
        *_OPTIONS,
        f"--user-data-dir={folder / 'browser'}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with aiohttp.ClientSession() as session:
            port = await _debugging_port(process)
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                tabs = await answer.json()
            (address,) = [tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"]
            async with session.ws_connect(address, max_msg_size=0) as channel:
                yield Page(channel)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def _debugging_port(process: asyncio.subprocess.Process) -> int:
    """Where the browser listens; it says so on its standard error."""
    assert process.stderr is not None
    said: list[bytes] = []
    async with asyncio.timeout(_START_S):
        async for line in process.stderr:
            said.append(line)
            if line.startswith(b"DevTools listening on ws://"):
                return int(line.split(b"/")[2].rpartition(b":")[2])
    raise AssertionError(b"".join(said).decode(errors="replace"))
