"""Keeps inputs in a file and says what was told as kept, until somebody ends it.

Run as ``python -m support.keeper FILE [SIZE]``: a line on standard output for each input whose
keeping was confirmed. SIZE, in bytes, bounds every file that it writes (RLIMIT_FSIZE).
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from itertools import count
from pathlib import Path

from support.keeping import StoreNotes, drop, open_store


async def _keep(path: Path) -> None:
    notes = StoreNotes()
    async with open_store(path, notes) as store:
        for first in count(0, 4):
            drops = [
                [drop(f"{first + n}", payload=os.urandom(300 + 97 * n), dropped=1.8e9)]
                for n in range(4)
            ]
            kept = await asyncio.gather(*map(store.keep, drops))
            told = [f"{first + n}" for n, one in enumerate(kept) if one]
            os.write(1, "".join(f"{name}\n" for name in told).encode())
            if not told:
                os.write(1, f"failed {notes.failed}\n".encode())
                return


def main() -> None:
    """Keeps for ever."""
    if len(sys.argv) > 2:
        size = int(sys.argv[2])
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    asyncio.run(_keep(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
