import pytest

from geoweir.settings.address import AddressError, read_broker_url, read_listen


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("mqtt://h", ("h", 1883, "tcp", False)),
        ("mqtts://h", ("h", 8883, "tcp", True)),
        ("ws://h/path", ("h", 80, "websockets", False)),
        ("wss://h:9001", ("h", 9001, "websockets", True)),
        ("mqtt://[::1]:1884", ("::1", 1884, "tcp", False)),
        ("mqtt://my_broker:1883/", ("my_broker", 1883, "tcp", False)),
    ],
)
def test_a_url_gives_host_port_and_transport(url: str, parts: tuple[str, int, str, bool]) -> None:
    found = read_broker_url(url)
    assert (found.host, found.port, found.transport, found.is_encrypted) == parts


def test_user_and_password_are_decoded_and_not_shown() -> None:
    found = read_broker_url("mqtt://joe:p%40ss@h")
    assert (found.username, found.password) == ("joe", "p@ss")
    assert "p@ss" not in repr(found)


@pytest.mark.parametrize(
    "url",
    ["", "h:1883", "http://h", "mqtt://", "mqtt://h:x", "mqtt://h:0", "mqtt://h:70000",
     "mqtt://h/topic", "mqtt://h?x=1", "mqtt://[::1", "mqtt://h\n:1883", "mqtt://a b", "mqtt://-h/"],
)  # fmt: skip
def test_what_is_no_broker_url_is_refused(url: str) -> None:
    with pytest.raises(AddressError):
        read_broker_url(url)


@pytest.mark.parametrize("url", ["http://u:canary@h", "mqtt://u:canary@h:x", "mqtt://u:canary@/"])
def test_a_refusal_does_not_repeat_the_password(url: str) -> None:
    with pytest.raises(AddressError) as error:
        read_broker_url(url)
    assert "canary" not in f"{error.value} {error.value.help}"


@pytest.mark.parametrize(
    ("text", "place"),
    [("127.0.0.1:9108", ("127.0.0.1", 9108)), ("[::1]:9108", ("::1", 9108)), ("h:0", ("h", 0))],
)
def test_a_place_to_listen_is_host_and_port(text: str, place: tuple[str, int]) -> None:
    assert read_listen(text) == place


@pytest.mark.parametrize("text", ["", "9108", ":9108", "h", "h:", "h:65536", "::1:9108", "h:1:2"])
def test_what_is_no_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        read_listen(text)
