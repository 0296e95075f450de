"""Runs the broker of the iotcore package (rumqttd) with a configuration, on loopback only.

python -m geoweir.demo.rumqttd CONFIG
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main(config: str) -> int:
    """Runs until the process is ended; 1 when the configuration would listen elsewhere."""
    # A process of its own: the package is not a dependency of the service, and can't be stopped.
    from iotcore import IotCoreBroker  # noqa: PLC0415

    broker = IotCoreBroker(config_path=config)
    open_ones = [place for place in broker.listeners() if not place.startswith("127.0.0.1:")]
    if open_ones:
        print(f"would listen on {', '.join(open_ones)}", file=sys.stderr)  # noqa: T201
        return 1
    broker.run_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
