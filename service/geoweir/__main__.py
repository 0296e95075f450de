"""``python -m geoweir``: the same as the ``geoweir`` command.

Worker processes import this module again, so it stays light: see ``cli``.
"""

import sys

from geoweir.cli.command import main

if __name__ == "__main__":
    sys.exit(main())
