import pytest

from geoweir.settings.topics import can_match
from support.configurations import Folder, codes


def test_a_stream_that_reads_its_results_is_refused_with_both_lines_and_a_way_out(
    folder: Folder,
) -> None:
    loaded = folder.load("""\
        streams:
          vessels:
            subscribe: ais/+/position
            publish:
              topic: "ais/{id}/position"
        """)
    assert codes(loaded) == [(5, "streams.vessels.publish.topic", "topic-loop")]
    assert loaded.faults[0].message == (
        '"ais/{id}/position" matches its own subscription "ais/+/position" (line 3);'
        " the service would read its own results."
    )
    assert loaded.faults[0].help == ('Publish elsewhere, for example "geoweir/{stream}/{id}".')


def test_a_stream_that_reads_another_streams_outputs_is_refused(folder: Folder) -> None:
    loaded = folder.load("""\
        streams:
          a: {subscribe: x}
          b: {subscribe: geoweir/a/+}
        """)
    assert codes(loaded) == [(2, "streams.a.publish.topic", "topic-loop")]
    assert 'stream b\'s subscription "geoweir/a/+" (line 3)' in loaded.faults[0].message
    assert '"out/{stream}/{id}"' in loaded.faults[0].help


@pytest.mark.parametrize("kind", ["rejected", "reconcile"])
def test_rejected_and_reconciled_inputs_can_loop_too(folder: Folder, kind: str) -> None:
    loaded = folder.load(f"streams: {{a: {{subscribe: x/+, {kind}: {{topic: 'x/{{stream}}'}}}}}}")
    assert codes(loaded) == [(1, f"streams.a.{kind}.topic", "topic-loop")]


@pytest.mark.parametrize(
    "subscribe", ["'#'", "geoweir/#", "geoweir/status/+", "+/health/me", "$share/g/#", "+/+/+"]
)
def test_the_services_own_messages_are_never_inputs(folder: Folder, subscribe: str) -> None:
    loaded = folder.load(f"mqtt: {{client_id: me}}\nstreams: {{a: {{subscribe: {subscribe}}}}}")
    assert codes(loaded) == [(2, "streams.a.subscribe", "topic-loop")]


def test_a_given_output_that_loops_is_named_beside_a_subscription_to_everything(
    folder: Folder,
) -> None:
    loaded = folder.load("streams: {a: {subscribe: '#', publish: {topic: 'x/{id}'}}}")
    assert {path for _, path, _ in codes(loaded)} == {
        "streams.a.subscribe",
        "streams.a.publish.topic",
    }


def test_a_share_is_stripped_before_comparing(folder: Folder) -> None:
    loaded = folder.load("streams: {a: {subscribe: $share/g/x/+, publish: {topic: 'x/{id}'}}}")
    assert codes(loaded) == [(1, "streams.a.publish.topic", "topic-loop")]


def test_the_advised_topic_does_not_loop(folder: Folder) -> None:
    loaded = folder.load("""\
        streams:
          a: {subscribe: [geoweir/a/+, out/+/+], publish: {topic: "geoweir/a/{id}"}}
        """)
    advised = loaded.faults[0].help.split('"')[1]
    assert not any(can_match(one, advised, "a") for one in ("geoweir/a/+", "out/+/+"))


def test_the_same_subscription_twice_is_a_warning_with_both_lines(folder: Folder) -> None:
    loaded = folder.load("""\
        streams:
          a: {subscribe: x/+}
          b: {subscribe: $share/g/x/+}
        """)
    assert codes(loaded) == [(3, "streams.b.subscribe", "same-subscription")]
    assert "stream a (line 2)" in loaded.faults[0].message
    assert loaded.settings is not None


def test_results_that_would_be_fences_are_refused(folder: Folder) -> None:
    loaded = folder.load("""\
        layers:
          zones: {topic: geoweir/a/+}
        streams:
          a: {subscribe: x}
        """)
    assert codes(loaded) == [(4, "streams.a.publish.topic", "topic-loop")]
    assert "the topic of layer zones" in loaded.faults[0].message


@pytest.mark.parametrize("subscribe", ["geoweir/layers/zones", "geoweir/layers/+"])
def test_what_is_said_of_layers_is_no_input(folder: Folder, subscribe: str) -> None:
    loaded = folder.load(f"""\
        layers:
          zones: {{topic: fences/+}}
        streams:
          a: {{subscribe: {subscribe}, publish: {{topic: "out/{{id}}"}}}}
        """)
    assert (4, "streams.a.subscribe", "topic-loop") in codes(loaded)


def test_a_live_layer_is_no_shared_subscription(folder: Folder) -> None:
    loaded = folder.load("""\
        layers:
          zones: {topic: $share/g/fences/+}
        streams:
          a: {subscribe: x}
        """)
    assert codes(loaded) == [(2, "layers.zones.topic", "bad-topic")]
