"""Secrets come in by several ways, and out by none."""

import pytest

from geoweir.settings.plan import plan
from support.configurations import Folder

STREAM = "streams: {a: {subscribe: x}}\n"


@pytest.mark.parametrize(
    ("text", "environ", "credentials"),
    [
        ("", {}, (None, None)),
        (
            "",
            {"GEOWEIR_MQTT_USERNAME": "e", "GEOWEIR_MQTT_PASSWORD": "canary"},
            ("e", "canary"),
        ),
        ("mqtt: {url: 'mqtt://u:canary@h'}", {}, ("u", "canary")),
        ("mqtt: {username: c, password_file: secret}", {}, ("c", "from file")),
        ("mqtt: {username: c, password: '${P}'}", {"P": "canary"}, ("c", "canary")),
        (
            "mqtt: {url: 'mqtt://u:canary@h', username: c, password_file: secret}",
            {"GEOWEIR_MQTT_USERNAME": "e", "GEOWEIR_MQTT_PASSWORD": "canary"},
            ("c", "from file"),
        ),
        (
            "mqtt: {url: 'mqtt://u:canary@h'}",
            {"GEOWEIR_MQTT_USERNAME": "e", "GEOWEIR_MQTT_PASSWORD": "env"},
            ("e", "env"),
        ),
    ],
)
def test_the_file_goes_before_the_environment_and_that_before_the_url(
    folder: Folder,
    text: str,
    environ: dict[str, str],
    credentials: tuple[str | None, str | None],
) -> None:
    folder.write("secret", "from file\r\nnot this\n")
    settings = folder.load(STREAM + text, environ).settings
    assert settings is not None
    assert (settings.mqtt.username, settings.mqtt.password) == credentials
    assert "canary" not in repr(settings)
    assert "from file" not in repr(settings)
    assert "canary" not in "".join(plan(settings))


def test_the_token_is_the_first_line_of_its_file(folder: Folder) -> None:
    folder.write("token", "abc\n")
    settings = folder.load(STREAM + "http: {token_file: token}").settings
    assert settings is not None
    assert settings.http.token == "abc"  # noqa: S105 - of nobody
    assert "abc" not in repr(settings.http)


@pytest.mark.parametrize(
    "text",
    [
        "mqtt: {url: 'mqtt://u:canary@h:x', pasword: canary, usernme: 5}",
        "mqtt: {password: [canary]}",
        "mqtt: {password: {canary: 1}, url: 5}",
        "mqtt: {password: !canary x}",
        "mqtt: {password: *canary }",
        "mqtt:\n  password:\n    canary: 1\n    x: *y\n",
        "mqtt: {password_file: canary}",
        "mqtt:\n  password: canary: x\n",
        "mqtt:\n  password: 'canary\n",
        "mqtt: {token: canary, secret: canary, credentials: canary}",
        "mqtt: {password: canary, password: canary}",
        "mqtt:\n  url: mqtt://u:${PW}@h:x\n  client_id: '#${PW}'\n",
        "mqtt:\n  url: mqtt://u:canary@h: x\n",
        "log: {level: '${PW}', format: ${PW:-x}}",
        "layers: {z: {path: 'x${PW}', crs: 'y${PW}'}}",
        "mqtt: {password: |\n  canary\n  }",
    ],
)
def test_t26_no_form_of_a_fault_holds_a_secret(folder: Folder, text: str) -> None:
    loaded = folder.load(STREAM + text, {"PW": "canary"})
    assert loaded.settings is None
    for fault in loaded.faults:
        if "canary" not in fault.path:  # a key is no secret
            assert "canary" not in fault.line_form()
            assert "canary" not in str(fault.json_form())
        assert "canary" not in fault.source_form()
