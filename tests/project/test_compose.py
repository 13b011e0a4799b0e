"""docker-compose.yml says what the service understands, opens no door, and is what the Dockerfile runs."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ordertrace_rules.errors import ConfigError
from ordertrace_rules.setting_table import SETTINGS, variable_of
from ordertrace_rules.settings import CONFIG_VARIABLE, load_settings

ROOT = Path(__file__).parents[2]
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SERVICE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)["services"]["ordertrace"]
ENVIRONMENT: dict[str, str] = SERVICE["environment"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SECRETS = ("ORDERTRACE_TOKEN", "ORDERTRACE_FORWARD_SHARED_KEY")
_VARIABLE = re.compile(r"\$\{(\w+):([?-])([^}]*)\}")


def resolved(given: dict[str, str]) -> dict[str, str]:
    """The service's environment as compose would make it; KeyError where a required variable is not given."""

    def value(match: re.Match[str]) -> str:
        name, kind, text = match.groups()
        return given.get(name) or (text if kind == "-" else given[name])

    return {name: _VARIABLE.sub(value, text) for name, text in ENVIRONMENT.items()}


def test_every_variable_is_a_setting() -> None:
    known = {variable_of(setting) for setting in SETTINGS} | {CONFIG_VARIABLE}
    named = set(re.findall(r"\bORDERTRACE_\w+", COMPOSE_TEXT))
    assert named - known == set()


def test_its_settings_are_sound_with_the_secrets_and_refused_without(tmp_path: Path) -> None:
    settings = load_settings(None, resolved(dict.fromkeys(SECRETS, "a long random text")))
    assert (settings.host, settings.port, settings.forward_port) == ("0.0.0.0", 8321, 24224)
    assert settings.public_url == "http://127.0.0.1:8321"
    with pytest.raises(ConfigError, match="beyond this machine"):
        load_settings(
            None, {k: v for k, v in resolved(dict.fromkeys(SECRETS, "x")).items() if k not in SECRETS}
        )


@pytest.mark.parametrize("secret", SECRETS)
def test_compose_itself_refuses_to_start_without_a_secret(secret: str) -> None:
    assert re.fullmatch(r"\$\{" + secret + r":\?.+\}", ENVIRONMENT[secret])
    with pytest.raises(KeyError, match=secret):
        resolved({other: "x" for other in SECRETS if other != secret})


def test_ports_are_bound_to_this_machine_and_are_those_it_listens_on() -> None:
    inner = set[str]()
    for port in SERVICE["ports"]:
        host, _, container = port.split(":")
        assert host == "127.0.0.1"
        inner.add(container)
    assert inner == {ENVIRONMENT["ORDERTRACE_PORT"], ENVIRONMENT["ORDERTRACE_FORWARD_PORT"]}
    assert inner == set(re.findall(r"\d+", re.search(r"^EXPOSE (.+)$", DOCKERFILE, re.M)[1]))  # pyright: ignore


def test_the_store_lies_on_the_volume() -> None:
    [volume] = SERVICE["volumes"]
    assert ENVIRONMENT["ORDERTRACE_SQLITE_PATH"].startswith(volume.split(":")[1] + "/")
    assert f"VOLUME {volume.split(':')[1]}" in DOCKERFILE


def test_the_health_check_fails_where_nothing_listens() -> None:
    """It is run as compose runs it, with this Python, on a port that nobody has."""
    first, python, flag, code = SERVICE["healthcheck"]["test"]
    assert (first, python, flag) == ("CMD", "python", "-c")
    assert f"http://127.0.0.1:{ENVIRONMENT['ORDERTRACE_PORT']}/readyz" in code
    done = subprocess.run(
        [sys.executable, "-c", code.replace(":8321/", ":1/")],
        capture_output=True,
        env={**os.environ, "no_proxy": "*"},
        check=False,
    )
    assert done.returncode == 1


def test_the_file_s_own_instruction_makes_the_env_file() -> None:
    [line] = [text for text in COMPOSE_TEXT.splitlines() if text.startswith("#   printf")]
    words = shlex.split(line.removeprefix("#").strip())
    assert words[0] == "printf"
    assert all(f"{secret}=%s" in words[1] for secret in SECRETS)
