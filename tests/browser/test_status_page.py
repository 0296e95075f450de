"""The status page in a real browser: its figures are the service's, and it fits a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.brokers import Broker
from support.browser import Page, open_page
from support.outside import Sender, point
from support.service import Geoweir

pytestmark = pytest.mark.browser

GOOD, BROKEN = 1234, 3
SIZES = {"desk": (1280, 800), "phone": (360, 740)}
ROWS = {
    "received": "received",
    "● published": "published",
    "○ filtered": "filtered",
    "◆ rejected": "rejected",
    "▲ reconciled": "reconciled",
    "◌ in flight": "in_flight",
    "redelivered by the broker": "redelivered",
}
TABLE = """[...document.querySelectorAll('table tr')].map(
    row => [...row.children].map(cell => cell.textContent))"""


@pytest.fixture
def service(broker: Broker, tmp_path: Path) -> Iterator[Geoweir]:
    """A service that has settled some inputs of each of two streams."""
    config = {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "streams": {"cars": {"subscribe": "cars/+"}, "ships": {"subscribe": "ships/+"}},
        "pool": {"workers": 1},
    }
    with Geoweir(config, tmp_path) as running, Sender(broker) as sender:
        sender.send([(f"cars/{n % 9}", point(n % 9)) for n in range(GOOD)])
        sender.send([("ships/x", b"no JSON")] * BROKEN)
        running.wait_settled(GOOD + BROKEN)
        yield running


async def shown(page: Page) -> dict[str, dict[str, int]]:
    """The table's figures by stream, under the names of the account."""
    (_, *streams), *rows = await page.evaluate(TABLE)
    return {
        stream: {ROWS[label]: int(cells[at].replace(",", "")) for label, *cells in rows}
        for at, stream in enumerate(streams)
    }


@pytest.mark.parametrize("size", SIZES)
async def test_the_page_shows_the_account(service: Geoweir, tmp_path: Path, size: str) -> None:
    width, height = SIZES[size]
    async with open_page(tmp_path) as page:
        await page.open(service.url + "/", width=width, height=height)
        await page.until("document.querySelector('#balance').textContent.startsWith('balanced')")
        await page.until("document.querySelector('#recent').innerText.includes('3 of ships, json')")
        figures = await shown(page)
        body = await page.evaluate("document.body.innerText")
        overhang = await page.evaluate("document.documentElement.scrollWidth - innerWidth")

    account: dict[str, Any] = service.account()["streams"]
    assert figures == {
        name: {key: stream[key] for key in ROWS.values()} for name, stream in account.items()
    }
    assert figures["cars"]["published"] == GOOD
    assert "balanced ✓ unaccounted 0" in body
    assert body.count("● connected") == 3
    assert overhang <= 0
    assert page.complaints == []


async def test_the_page_follows_the_service_and_says_when_it_is_gone(
    service: Geoweir, broker: Broker, tmp_path: Path
) -> None:
    async with open_page(tmp_path) as page:
        await page.open(service.url + "/", width=1280, height=800)
        await page.until("document.querySelector('#balance').textContent.startsWith('balanced')")
        with Sender(broker, client_id="later") as sender:
            sender.send([("ships/y", point("y"))])
        await page.until(f"({TABLE}).some(row => row[0] === '● published' && row[2] === '1')")
        assert page.complaints == []

        service.kill()
        await page.until("!document.querySelector('#lost').hidden")

        assert "does not answer" in await page.evaluate("document.body.innerText")
