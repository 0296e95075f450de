"""The service with a user's configuration at another broker, until standard input ends.

    python -m geoweir.sizing.served FILE DERIVATION

Prints its HTTP address when it is ready. Worker processes import this module again, so it stays
light.
"""

from __future__ import annotations

import sys

__all__: list[str] = []

if __name__ == "__main__":
    from geoweir.sizing.serving import main

    sys.exit(main(sys.argv[1], sys.argv[2]))
