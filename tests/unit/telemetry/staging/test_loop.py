from __future__ import annotations

import asyncio
import gc
import logging
import time
import warnings

import pytest

from geoweir.telemetry.staging.loop import LoopWatch


async def dawdle() -> None:
    time.sleep(0.03)  # noqa: ASYNC251 - that is the fault


async def test_slow_callbacks_are_counted_and_a_kind_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop, watch = asyncio.get_running_loop(), LoopWatch()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.02
    with watch.watching():
        for _ in range(3):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(dawdle(), name="slow")
        loop.call_soon(time.sleep, 0.03)
        await asyncio.sleep(0.05)

    assert watch.slow["dawdle"] == 3
    assert len([text for text in caplog.messages if "dawdle" in text]) == 1


async def test_what_is_not_closed_is_counted_by_what_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = LoopWatch()
    with watch.watching(), caplog.at_level(logging.WARNING):
        for fd in (5, 6):
            warnings.warn(
                f"unclosed transport <_SelectorSocketTransport fd={fd}>", ResourceWarning, 1
            )
        warnings.warn("unclosed <socket.socket fd=7, family=1>", ResourceWarning, 1)
        gc.collect()

    assert watch.unclosed == {
        "unclosed transport _SelectorSocketTransport": 2,
        "unclosed socket.socket": 1,
    }
    assert len([text for text in caplog.messages if "warned" in text]) == 2


async def test_kinds_are_bounded() -> None:
    watch = LoopWatch()
    with watch.watching():
        for kind in range(1000):
            warnings.warn(f"unclosed x{kind}", ResourceWarning, 1)

    assert len(watch.unclosed) == 65
    assert watch.unclosed["others"] == 936


async def test_afterwards_everything_is_as_it_was() -> None:
    shown, filters = warnings.showwarning, list(warnings.filters)
    with LoopWatch().watching():
        pass

    assert warnings.showwarning is shown
    assert list(warnings.filters) == filters
    assert logging.getLogger("asyncio").filters == []
