"""What a service touches outside itself: broker, worker processes, files and clocks.

The service gets all of it here, so that it also runs in a world whose time and faults are chosen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from geoweir.app.reporting import Reporting
from geoweir.core.clocks import Clocks
from geoweir.core.spec import PoolSpec, WorkerSpec
from geoweir.errors import ConfigurationError
from geoweir.mqtt.inlet import MqttInlet
from geoweir.mqtt.options import BrokerOptions
from geoweir.mqtt.outlet import MqttOutlet
from geoweir.pool.shelf import Shelf
from geoweir.pool.supervisor import Pool
from geoweir.ports import Outgoing
from geoweir.settings.values import SpillSettings, StateSettings
from geoweir.store.kept import Bounds
from geoweir.store.lives import Lives
from geoweir.store.spill.files import FileSpill
from geoweir.store.sqlite import SqliteStore

__all__ = ["World"]


class World:
    """The real one.

    Args:
        options: how to reach the broker.
    """

    def __init__(self, options: BrokerOptions) -> None:
        self.clocks = Clocks(monotonic=time.monotonic, wall=time.time)
        self.broker = options.name
        #: Takes the arguments of ``MqttInlet`` but its options.
        self.inlet: Callable[..., MqttInlet] = partial(MqttInlet, options=options)
        self._options = options

    def outlet(
        self,
        *,
        client_id: str,
        weights: Mapping[str, int],
        greeting: Callable[[], Outgoing],
        will: Outgoing,
        reporting: Reporting,
    ) -> MqttOutlet:
        """Where results go."""
        return MqttOutlet(
            client_id=client_id,
            options=self._options,
            weights=weights,
            greeting=greeting,
            will=will,
            on_link=partial(reporting.link, "out", ""),
        )

    def pool(self, spec: PoolSpec, work: WorkerSpec, *, events: Reporting, shelf: Shelf) -> Pool:
        """The worker processes."""
        return Pool(spec, work, events=events, shelf=shelf)

    def spill(
        self, settings: SpillSettings, streams: Iterable[str], *, events: Reporting
    ) -> FileSpill:
        """Where inputs wait that the queue has no room for."""
        return FileSpill(Path(settings.path), settings.limit, streams=streams, events=events)

    def lives(self, state: StateSettings) -> Lives | None:
        """How earlier lives ended; None where nothing outlives the process.

        Raises:
            ConfigurationError: its file can't be written.
        """
        if state.path is None:
            return None
        try:
            return Lives(Path(state.path), self.clocks.wall())
        except BlockingIOError:
            why = "another process has it open. Give each service a state.path of its own."
            raise ConfigurationError(f"state.path: {state.path}: {why}") from None
        except OSError as error:
            raise ConfigurationError(f"state.path: {state.path}.lives: {error.strerror}") from None

    def store(self, state: StateSettings, *, events: Reporting) -> SqliteStore:
        """What outlives the process."""
        return SqliteStore(
            None if state.path is None else Path(state.path),
            Bounds(
                messages=state.messages, size=state.size, age_s=state.age_s, states=state.states
            ),
            events=events,
            wall=self.clocks.wall,
        )
