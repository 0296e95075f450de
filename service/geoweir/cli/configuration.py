"""Loads the configuration for a command, and shows its faults."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from geoweir.errors import ConfigurationError, UsageError
from geoweir.mqtt.options import BrokerOptions, TlsFiles
from geoweir.settings.faults import Fault
from geoweir.settings.values import MqttSettings, Settings

__all__ = ["broker_options", "load_or_explain", "show"]

#: Faults of the machine rather than of the text: a file that isn't there may be there tomorrow.
_OF_THE_MACHINE: Final = frozenset({"missing-file", "unreadable-file", "broken-file"})


def load_or_explain(path: str) -> Settings:
    """The settings in a file.

    Raises:
        UsageError: the configuration is wrong; every fault was printed.
        ConfigurationError: a file that it names can't be read; likewise.
    """
    # Late: it brings geometry libraries that a process of several does without.
    from geoweir.settings.load import load

    loaded = load(Path(path), dict(os.environ))
    for fault in loaded.faults:
        show(fault)
    errors = [fault for fault in loaded.faults if fault.severity == "error"]
    if loaded.settings is not None and not errors:
        return loaded.settings
    summary = f"{path}: {len(errors)} error{'s' if len(errors) != 1 else ''}. Nothing was started."
    if errors and all(fault.path and fault.code in _OF_THE_MACHINE for fault in errors):
        raise ConfigurationError(summary)
    raise UsageError(summary)


def show(fault: Fault) -> None:
    """Prints a fault: one line, and on a terminal the source line with a caret."""
    print(fault.line_form(), file=sys.stderr)
    if sys.stderr.isatty():
        print(fault.source_form(), file=sys.stderr)


def broker_options(mqtt: MqttSettings) -> BrokerOptions:
    """How to reach the broker, from the settings."""
    tls = None
    if mqtt.tls is not None:
        tls = TlsFiles(ca=mqtt.tls.ca, cert=mqtt.tls.cert, key=mqtt.tls.key)
    return BrokerOptions(
        host=mqtt.host,
        port=mqtt.port,
        transport=mqtt.transport,
        path=mqtt.path,
        tls=tls,
        username=mqtt.username,
        password=mqtt.password,
        protocol=mqtt.protocol,
        session_expiry_s=int(mqtt.session_expiry_s),
    )
