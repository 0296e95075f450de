"""The accounts of several processes as one. Pure: plain numbers in, plain numbers out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from geoweir.core.account import Account

__all__ = ["empty", "remains", "total"]


def empty(streams: Iterable[str]) -> dict[str, Any]:
    """The account of a service that has received nothing."""
    account: dict[str, Any] = Account(streams).snapshot({})
    for counts in account["streams"].values():
        counts.update(reasons={}, returned=0, retried=0, gaps=0, missing=0)
    return account


def total(accounts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Every number of equal place summed; the first account gives the order."""
    result: dict[str, Any] = {}
    for account in accounts:
        result = _sum(result, account)
    return result


def remains(account: dict[str, Any]) -> dict[str, Any]:
    """What the account of a process that ended goes on adding to the sum.

    What it held when it was last heard of is returned: without an acknowledgement it comes again,
    and is received again by whoever gets it. What it could not account for stays visible.
    """
    streams = {
        name: {
            **counts,
            "received": counts["received"] - counts["in_flight"],
            "returned": counts["returned"] + counts["in_flight"],
            "in_flight": 0,
        }
        for name, counts in account["streams"].items()
    }
    return {**account, "streams": streams}


def _sum(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    result = dict(one)
    for key, value in other.items():
        if isinstance(value, dict):
            result[key] = _sum(result.get(key, {}), value)
        elif isinstance(value, int | float):
            result[key] = result.get(key, 0) + value
    return result
