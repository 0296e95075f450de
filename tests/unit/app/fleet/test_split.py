from dataclasses import replace

import pytest

from geoweir.app.fleet.split import client_id, loses_retained, split
from geoweir.core.spec import PoolSpec, PrefilterSpec, StreamSpec
from geoweir.errors import UsageError
from geoweir.settings.memory import Demand, share_memory
from geoweir.settings.values import MqttSettings, Settings, StateSettings


def stream(name: str, *filters: str, whole: bool = False, **more: str) -> StreamSpec:
    before = PrefilterSpec(min_interval_s=1.0 if whole else None)
    found = StreamSpec(name=name, subscribe=filters or (f"{name}/#",), prefilter=before)
    return replace(found, **more)  # type: ignore[arg-type]


def settings(*streams: StreamSpec, auto: bool = True) -> Settings:
    return Settings(
        mqtt=MqttSettings(client_id="gw"),
        streams=streams,
        pool=PoolSpec(workers=3),
        are_workers_auto=auto,
    )


def read_by(parts: tuple[Settings, ...]) -> list[dict[str, tuple[str, ...]]]:
    return [{one.name: one.subscribe for one in part.streams} for part in parts]


def test_a_stream_without_state_is_shared_by_all_and_each_has_its_own_client_id() -> None:
    parts = split(settings(stream("a")), 3, 1)
    assert [part.mqtt.client_id for part in parts] == ["gw-p0", "gw-p1", "gw-p2"]
    assert read_by(parts) == [{"a": ("$share/gw/a/#",)}] * 3


def test_a_shared_subscription_of_the_configuration_stays_as_it_is() -> None:
    parts = split(settings(stream("a", "$share/mine/x/+", "y")), 2, 1)
    assert read_by(parts) == [{"a": ("$share/mine/x/+", "$share/gw/y")}] * 2


def test_a_stream_with_state_runs_whole_in_the_process_of_its_number() -> None:
    streams = [stream("a"), stream("b", whole=True), stream("c", whole=True), stream("d")]
    parts = split(settings(*streams), 2, 1)
    assert read_by(parts) == [
        {"a": ("$share/gw/a/#",), "c": ("c/#",), "d": ("$share/gw/d/#",)},
        {"a": ("$share/gw/a/#",), "b": ("b/#",), "d": ("$share/gw/d/#",)},
    ]


def test_two_streams_with_one_filter_are_two_groups_so_that_both_get_everything() -> None:
    (part, _) = split(settings(stream("a", "in/#"), stream("b", "in/#")), 2, 1)
    groups = [filters for one in part.streams for filters in one.subscribe]
    assert groups == ["$share/gw/in/#", "$share/gw-b/in/#"]


def test_workers_that_the_machine_suggests_are_divided_and_a_number_is_for_each() -> None:
    assert {part.pool.workers for part in split(settings(stream("a")), 4, 1)} == {1}
    assert {part.pool.workers for part in split(settings(stream("a"), auto=False), 4, 1)} == {3}


def test_everything_else_is_the_same_in_each_process() -> None:
    whole = settings(stream("a"))
    for part in split(whole, 2, 1):
        same = replace(part, mqtt=whole.mqtt, streams=whole.streams, pool=whole.pool)
        assert same == whole


def test_processes_without_work_are_refused_with_the_number_that_has_some() -> None:
    whole = [stream("a", whole=True), stream("b", whole=True)]
    with pytest.raises(UsageError, match=r"work for 2 only\. Write --processes 2"):
        split(settings(*whole), 3, 1)
    assert len(split(settings(*whole), 2, 1)) == 2


def test_only_streams_that_become_shared_lose_their_retained_messages() -> None:
    streams = [
        stream("a"),
        stream("b", whole=True),
        stream("c", retained="ignore"),
        stream("d", "$share/own/x"),  # had none before
    ]
    assert loses_retained(settings(*streams)) == ["a"]


def test_the_client_id_of_a_process_depends_on_its_number_alone() -> None:
    for processes in (2, 5):
        parts = split(settings(stream("a")), processes, 1)
        assert parts[1].mqtt.client_id == client_id(settings(stream("a")), 1) == "gw-p1"


def test_each_process_keeps_its_dropped_inputs_in_a_file_of_its_own() -> None:
    whole = replace(settings(stream("a")), state=StateSettings(path="/var/state.db", messages=7))
    parts = split(whole, 2, 1)
    assert [part.state.path for part in parts] == ["/var/state.db-p0", "/var/state.db-p1"]
    assert {part.state.messages for part in parts} == {7}
    assert {part.state.path for part in split(settings(stream("a")), 2, 1)} == {None}


def test_memory_is_divided_and_too_little_is_refused_with_the_sum() -> None:
    demand = Demand(streams=1, auto_workers=4, kept=8_000_000)
    whole = settings(stream("a"))
    planned = share_memory(800_000_000, demand, is_enforced=True)
    parts = split(replace(whole, memory=planned), 2, 2)
    for part in parts:
        assert part.memory is not None
        assert part.memory.limit == 400_000_000
        assert part.memory.fits
        assert part.pool.memory == part.memory.worker < planned.worker
        assert part.pool.workers == part.memory.workers <= 2
        assert part.mqtt.receive_bytes == part.memory.window
    with pytest.raises(UsageError, match=r"--processes 8: each needs service 90MB .*100MB"):
        split(replace(whole, memory=planned), 8, 1)
