"""The compose files say what the services understand, open no door, hold no secret, and name only what there is.

No Docker engine is needed: files are parsed as compose parses them, and what containers run is run here.
"""

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from ordertrace_alerting import Ok, Sender, alerting_config, build_senders
from ordertrace_alerting.redaction import Secret
from ordertrace_alerting.senders.sample import sample_delivery
from ordertrace_alerting.senders.webhook import signed_headers
from ordertrace_instrumentation import settings as shim_settings
from ordertrace_rules.cli.main import ordertrace
from ordertrace_rules.errors import ConfigError
from ordertrace_rules.setting_table import SETTINGS, variable_of
from ordertrace_rules.settings import CONFIG_VARIABLE, load_settings

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "collector-config" / "compose"
FLUENTD = ROOT / "collector-config" / "fluentd"
FULL, SMALL = "docker-compose.yml", "docker-compose.sqlite.yml"
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def resolved(value: Any, given: Mapping[str, str]) -> Any:
    """What compose makes of a value: variables from `given` or by their default, `$$` as `$`."""
    if isinstance(value, dict):
        return {key: resolved(inner, given) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolved(inner, given) for inner in value]
    if not isinstance(value, str):
        return value
    parts = value.split("$$")
    return "$".join(_VARIABLE.sub(lambda m: given.get(m[1]) or m[2], part) for part in parts)


def read(name: str, given: Mapping[str, str] | None = None) -> dict[str, Any]:
    return resolved(yaml.safe_load((ROOT / name).read_text(encoding="utf-8")), given or {})


FILES = {name: read(name) for name in (FULL, SMALL)}
EVERY = [pytest.param(f, n, id=f"{f}:{n}") for f, whole in FILES.items() for n in whole["services"]]
SERVICES = FILES[FULL]["services"]
ONE_SHOTS = {"setup", "setup-kibana"}


def service_of(file: str, name: str) -> dict[str, Any]:
    return FILES[file]["services"][name]


def mounts(service: Mapping[str, Any]) -> dict[str, str]:
    """Target -> source, of all volumes."""
    return {target: source for source, target, *_ in (v.split(":") for v in service.get("volumes", ()))}


def runs_ordertrace(service: Mapping[str, Any]) -> bool:
    return service["image"].startswith("ordertrace:") and "entrypoint" not in service


# doors and secrets ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(("file", "name"), EVERY)
def test_every_port_is_bound_to_this_machine_alone(file: str, name: str) -> None:
    for port in service_of(file, name).get("ports", ()):
        assert port.count(":") == 2 and port.startswith("127.0.0.1:"), port
    assert "network_mode" not in service_of(file, name)


@pytest.mark.parametrize("file", FILES)
def test_no_two_services_want_one_port(file: str) -> None:
    ports = [p.split(":")[1] for each in FILES[file]["services"].values() for p in each.get("ports", ())]
    assert sorted(ports) == sorted(set(ports))


@pytest.mark.parametrize(("file", "name"), EVERY)
def test_a_secret_is_only_ever_the_name_of_its_file(file: str, name: str) -> None:
    service = service_of(file, name)
    granted = {f"/run/secrets/{secret}" for secret in service.get("secrets", ())}
    for variable, value in service.get("environment", {}).items():
        if re.search(r"(?i)passw|token|_key|secret|credential", variable):
            assert variable.endswith("_FILE") and value in granted, variable
    commands = json.dumps([service.get(key) for key in ("entrypoint", "command", "healthcheck")])
    assert set(re.findall(r"/run/secrets/\w+", commands)) <= granted


@pytest.mark.parametrize("file", FILES)
def test_each_secret_is_granted_to_somebody_and_lies_below_secrets(file: str) -> None:
    whole = FILES[file]
    granted = {s for each in whole["services"].values() for s in each.get("secrets", ())}
    assert granted == set(whole["secrets"])
    assert all(given == {"file": f"./secrets/{name}"} for name, given in whole["secrets"].items())


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the compose files need, with its secrets made."""
    copy = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "collector-config", copy / "collector-config")
    for name in (*FILES, "Dockerfile"):
        shutil.copy(ROOT / name, copy)
    subprocess.run(["sh", str(copy / "collector-config/compose/secrets.sh")], check=True, capture_output=True)
    return copy


def test_the_secrets_script_makes_each_secret_long_and_different_in_a_directory_of_ones_own(
    checkout: Path,
) -> None:
    folder = checkout / "secrets"
    values = {path.name: path.read_text(encoding="ascii") for path in folder.iterdir()}
    assert set(values) == {name for whole in FILES.values() for name in whole["secrets"]}
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", values["webhook_secret"])
    plain = [value for name, value in values.items() if name != "webhook_secret"]
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in plain)
    assert len(set(values.values())) == len(values)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}


def test_the_secrets_script_keeps_what_is_there_and_tells_no_secret(checkout: Path) -> None:
    folder = checkout / "secrets"
    before = {path.name: path.read_text() for path in folder.iterdir()}
    (folder / "ordertrace_token").unlink()
    script = ["sh", str(checkout / "collector-config/compose/secrets.sh")]
    said = subprocess.run(script, check=True, capture_output=True, text=True).stdout
    after = {path.name: path.read_text() for path in folder.iterdir()}
    assert said == "made secrets/ordertrace_token\n"
    assert {name for name in after if after[name] != before[name]} == {"ordertrace_token"}


@pytest.mark.parametrize("ignore", [".gitignore", ".dockerignore"])
def test_secrets_get_neither_into_git_nor_into_an_image(ignore: str) -> None:
    lines = (ROOT / ignore).read_text(encoding="utf-8").split()
    assert {"/secrets/", "secrets"} & set(lines)


# what every service owes ---------------------------------------------------------------------------------
@pytest.mark.parametrize(("file", "name"), EVERY)
def test_every_service_is_bounded_and_no_root(file: str, name: str) -> None:
    service = service_of(file, name)
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["user"].split(":")[0] not in ("", "0", "root")
    assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True and "privileged" not in service
    assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize(("file", "name"), EVERY)
def test_what_runs_for_long_has_a_health_check_and_comes_back_and_the_rest_runs_once(
    file: str, name: str
) -> None:
    service = service_of(file, name)
    if name in ONE_SHOTS:
        assert service["restart"] == "no" and "healthcheck" not in service
        return
    assert service["restart"] == "unless-stopped"
    assert {"test", "interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])


@pytest.mark.parametrize(("file", "name"), EVERY)
def test_every_mounted_path_is_in_the_checkout_and_every_volume_declared(file: str, name: str) -> None:
    for source in mounts(service_of(file, name)).values():
        if source.startswith("./"):
            assert (ROOT / source).exists(), source
        else:
            assert source in FILES[file]["volumes"]


@pytest.mark.parametrize(("file", "name"), EVERY)
def test_what_is_mounted_from_the_checkout_is_read_only(file: str, name: str) -> None:
    volumes = [v.split(":") for v in service_of(file, name).get("volumes", ())]
    assert [v for v in volumes if v[0].startswith("./") and v[2:] != ["ro"]] == []


@pytest.mark.parametrize(("file", "name"), EVERY)
def test_images_are_pinned_and_those_of_our_own_are_built_from_a_dockerfile(file: str, name: str) -> None:
    service = service_of(file, name)
    assert re.search(r":\d+\.\d+\.\d+$", service["image"])
    if service["image"].startswith("ordertrace"):
        build = service["build"]
        context = build if isinstance(build, str) else build["context"]
        assert (ROOT / context / "Dockerfile").is_file()


def test_kibana_is_of_the_version_of_elasticsearch() -> None:
    versions = {SERVICES[name]["image"].split(":")[1] for name in ("elasticsearch", "kibana")}
    assert len(versions) == 1 and versions.pop().startswith("9.")


def test_security_is_on() -> None:
    assert SERVICES["elasticsearch"]["environment"]["xpack.security.enabled"] == "true"


def test_everybody_waits_for_the_setup_and_the_setup_for_elasticsearch() -> None:
    wanted = {
        "elasticsearch": {},
        "setup": {"elasticsearch": "service_healthy"},
        "kibana": {"setup": "service_completed_successfully"},
        "setup-kibana": {"kibana": "service_healthy"},
        "fluentd": {"setup": "service_completed_successfully"},
        "rules": {"setup": "service_completed_successfully"},
        "worker": {"setup": "service_completed_successfully"},
        "shop": {"fluentd": "service_healthy", "rules": "service_healthy"},
        "catcher": {},
    }
    found = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in SERVICES.items()
    }
    assert found == wanted


# commands, settings, images ------------------------------------------------------------------------------
def command_at(path: list[str]) -> click.Command:
    command: click.Command = ordertrace
    for word in path:
        assert isinstance(command, click.Group) and word in command.commands, f"no `ordertrace {word}`"
        command = command.commands[word]
    return command


@pytest.mark.parametrize(
    ("file", "name"),
    [p for p in EVERY if runs_ordertrace(service_of(*p.values))],  # type: ignore[arg-type]
)
def test_the_command_of_each_container_is_one_of_ordertrace(file: str, name: str) -> None:
    default = re.search(r"^CMD (.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)
    assert default
    word, *options = service_of(file, name).get("command", json.loads(default[1]))
    known = {option for p in command_at([word]).params for option in p.opts}
    assert {each for each in options if each.startswith("-")} - known == set()


def test_the_setup_calls_a_command_of_ordertrace() -> None:
    text = (SCRIPTS / "setup.py").read_text(encoding="utf-8")
    [words] = re.findall(r'\["ordertrace", (.+?)\]', text)
    *path, last = json.loads(f"[{words}]")
    command = command_at(path)
    if isinstance(command, click.Group):
        command_at([*path, last])
    else:  # an argument
        assert any(
            isinstance(p, click.Argument) and last in getattr(p.type, "choices", (last,))
            for p in command.params
        )


@pytest.mark.parametrize(("file", "name"), EVERY)
def test_every_variable_of_ours_is_a_setting_of_who_gets_it(file: str, name: str) -> None:
    service = service_of(file, name)
    given = {v for v in service.get("environment", {}) if v.startswith(("ORDERTRACE_", "FLUENTD_"))}
    if name == "fluentd":
        known = set[str]().union(
            *(
                re.findall(r"ENV(?:\.fetch\(|\[)[\"'](\w+)", path.read_text(encoding="utf-8"))
                for path in FLUENTD.rglob("*.conf")
            )
        )
    elif name == "shop":
        known = set(re.findall(r"ORDERTRACE_\w+", Path(shim_settings.__file__).read_text(encoding="utf-8")))
    else:
        plain = {variable_of(setting): setting for setting in SETTINGS}
        secret = {f"{v}_FILE" for v, s in plain.items() if v and getattr(s.kind, "secret", False)}
        known = {*plain, *secret, CONFIG_VARIABLE}
    assert given - known == set()


def settings_of(file: str, name: str, secrets: Path) -> Any:
    """The settings that a container would have: files where they are here rather than where they are there."""
    service = service_of(file, name)
    places = {**mounts(service), "/run/secrets": str(secrets)}
    environment = dict(service["environment"])
    for variable, value in environment.items():
        for target, source in places.items():
            if value.startswith(target + "/"):
                environment[variable] = str(ROOT / source) + value.removeprefix(target)
    return load_settings(None, environment)


def test_the_rules_service_gets_sound_settings(checkout: Path) -> None:
    settings = settings_of(FULL, "rules", checkout / "secrets")
    assert (settings.store, settings.host, settings.port) == ("elasticsearch", "0.0.0.0", 8321)
    assert settings.es_url == f"http://elasticsearch:{SERVICES['elasticsearch']['ports'][0].split(':')[2]}"
    assert settings.es_password == (checkout / "secrets/ordertrace_es_password").read_text()
    assert settings.token == (checkout / "secrets/ordertrace_token").read_text()
    assert settings.forward_port is None
    assert settings.kibana_url and settings.public_url == "http://127.0.0.1:8321"


def test_the_small_one_gets_sound_settings_and_is_refused_without_its_secrets(checkout: Path) -> None:
    settings = settings_of(SMALL, "ordertrace", checkout / "secrets")
    assert (settings.store, settings.forward_host, settings.forward_port) == ("sqlite", "0.0.0.0", 24224)
    environment = service_of(SMALL, "ordertrace")["environment"]
    bare = {k: v for k, v in environment.items() if not k.endswith("_FILE") and k != CONFIG_VARIABLE}
    with pytest.raises(ConfigError, match="beyond this machine"):
        load_settings(None, bare)


def test_the_small_one_keeps_its_store_on_its_volume() -> None:
    service = service_of(SMALL, "ordertrace")
    path = Path(service["environment"]["ORDERTRACE_SQLITE_PATH"])
    assert mounts(service)[str(path.parent)] == "data"
    assert f"VOLUME {path.parent}" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_user_of_each_image_of_ours_is_the_one_that_its_dockerfile_ends_with() -> None:
    for whole in FILES.values():
        for service in whole["services"].values():
            if service["image"].startswith("ordertrace"):
                context = (
                    service["build"] if isinstance(service["build"], str) else service["build"]["context"]
                )
                text = (ROOT / context / "Dockerfile").read_text(encoding="utf-8")
                assert re.findall(r"^USER (\w+)$", text, re.M)[-1] == service["user"]


def test_what_fluentd_keeps_lies_on_its_volume_and_its_image_owns_the_place() -> None:
    [default] = set(
        re.findall(
            r"FLUENTD_STATE_DIR'\] \|\| '([^']+)'", "".join(p.read_text() for p in FLUENTD.rglob("*.conf"))
        )
    )
    assert mounts(SERVICES["fluentd"])[default] == "fluentd"
    assert f"--owner fluent --group fluent {default}" in (FLUENTD / "Dockerfile").read_text(encoding="utf-8")


def test_fluentd_finds_its_main_file_where_its_image_looks() -> None:
    assert mounts(SERVICES["fluentd"])["/fluentd/etc"] == "./collector-config/fluentd"
    assert (FLUENTD / "fluent.conf").is_file()


def test_the_images_ask_for_extras_that_there_are() -> None:
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    extras = re.findall(r"^(\w+) =$", setup.partition("[options.extras_require]")[2], re.M)
    asked = {s["build"]["args"]["EXTRAS"] for s in SERVICES.values() if isinstance(s.get("build"), dict)}
    asked |= set(re.findall(r"^ARG EXTRAS=(\w+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M))
    assert asked == {"server", "demo"} and asked <= set(extras)


@pytest.mark.parametrize("file", FILES)
def test_the_commands_that_the_file_tells_name_files_that_there_are(file: str) -> None:
    head = [line for line in (ROOT / file).read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    named = re.findall(r"[\w./-]+\.(?:sh|env|yml|md)\b", " ".join(head))
    assert named and [n for n in named if not (ROOT / n).is_file()] == []


def test_the_demo_s_settings_name_profiles_and_a_site_that_there_are() -> None:
    lines = (SCRIPTS / "demo/demo.env").read_text(encoding="utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    profiles = {p for service in SERVICES.values() for p in service.get("profiles", ())}
    assert set(given["COMPOSE_PROFILES"].split(",")) <= profiles
    rules = read(FULL, given)["services"]["rules"]
    config = rules["environment"]["ORDERTRACE_CONFIG"]
    site = mounts(rules)[str(Path(config).parent)]
    assert site == given["SITE_DIR"] and (ROOT / site / Path(config).name).is_file()


@pytest.mark.parametrize("site", ["site", "demo"])
def test_the_files_of_each_site_are_sound(site: str, tmp_path: Path, checkout: Path) -> None:
    text = (SCRIPTS / site / "ordertrace.yaml").read_text(encoding="utf-8")
    text = text.replace("/run/secrets/", f"{checkout / 'secrets'}/")
    there = mounts(SERVICES["rules"])
    for target, source in there.items():
        if source.startswith("./"):
            text = text.replace(target + "/", f"{ROOT / source}/")
    (tmp_path / "ordertrace.yaml").write_text(text, encoding="utf-8")
    settings = load_settings(tmp_path / "ordertrace.yaml", {})
    for tailed in settings.tail:
        assert str(tailed.path.parent) in there and tailed.mapping and tailed.mapping.is_file()


# what containers run, run here ---------------------------------------------------------------------------
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


PYTHON_CHECKS = [
    p
    for p in EVERY
    if service_of(*p.values).get("healthcheck", {}).get("test", [])[1:2] == ["python"]  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("file", "name"), PYTHON_CHECKS)
def test_a_health_check_fails_where_nothing_is(file: str, name: str) -> None:
    """It is run as compose runs it, with this Python, where nobody listens and no file is."""
    first, _, *arguments = service_of(file, name)["healthcheck"]["test"]
    assert first == "CMD"
    code = arguments[-1].replace("('elasticsearch', 9200)", f"('127.0.0.1', {free_port()})")
    code = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{free_port()}", code)
    environment = {**os.environ, "no_proxy": "*"}
    command = [sys.executable, *arguments[:-1], code]
    assert subprocess.run(command, capture_output=True, env=environment, check=False).returncode == 1


@pytest.mark.parametrize(
    ("file", "name"), [p for p in EVERY if p.values[1] in ("rules", "ordertrace", "catcher", "kibana")]
)
def test_a_health_check_asks_at_the_port_that_is_published(file: str, name: str) -> None:
    service = service_of(file, name)
    [asked] = re.findall(r"http://127\.0\.0\.1:(\d+)/", " ".join(service["healthcheck"]["test"]))
    assert asked in [port.split(":")[2] for port in service["ports"]]


class Recorder:
    """An HTTP server that notes what it is asked and answers as told; the first `busy` requests get a 503."""

    def __init__(self, answer: Mapping[str, Any], busy: int = 0) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                recorder.asked.append((self.command, self.path, headers, body))
                self.send_response(503 if len(recorder.asked) <= busy else 200)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            do_GET = do_PUT = do_POST = _take

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def recording(answer: Mapping[str, Any], busy: int = 0) -> Iterator[Recorder]:
    recorder = Recorder(answer, busy)
    thread = threading.Thread(target=recorder.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield recorder
    finally:
        recorder.server.shutdown()
        recorder.server.server_close()


def run_setup(
    script: Path, step: str, environment: Mapping[str, str], secrets: Path, exit_code: int = 0
) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run the script with a stand-in for `ordertrace` that notes its arguments; return these too."""
    tools = secrets.parent / "tools"
    tools.mkdir(exist_ok=True)
    stand_in = tools / "ordertrace"
    stand_in.write_text(f'#!/bin/sh\necho "$@" >"{tools}/called"\nexit {exit_code}\n')
    stand_in.chmod(0o755)
    (tools / "called").unlink(missing_ok=True)
    path = f"{tools}:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, str(script), step],
        env={**os.environ, **environment, "PATH": path, "SECRETS_DIR": str(secrets), "no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done, (tools / "called").read_text().strip() if (tools / "called").exists() else ""


def test_the_setup_makes_users_and_roles_and_calls_ordertrace_and_waits_for_a_busy_server(
    checkout: Path,
) -> None:
    script = checkout / "collector-config/compose/setup.py"
    secrets = checkout / "secrets"
    with recording({}, busy=1) as server:
        done, called = run_setup(script, "elasticsearch", {"ORDERTRACE_ES_URL": server.url}, secrets)
    assert (done.returncode, called) == (0, "setup elasticsearch"), done.stderr
    bodies = {path: json.loads(body) for _, path, _, body in server.asked}
    assert {method for method, *_ in server.asked} == {"PUT"}
    assert (
        bodies["/_security/user/kibana_system/_password"]["password"]
        == (secrets / "kibana_password").read_text()
    )
    for name, service in {"ordertrace": "rules", "ordertrace_fluentd": "fluentd"}.items():
        environment = SERVICES[service]["environment"]
        assert environment["ORDERTRACE_ES_USERNAME"] == name
        file = secrets / Path(environment["ORDERTRACE_ES_PASSWORD_FILE"]).name
        user = bodies[f"/_security/user/{name}"]
        assert (user["password"], user["roles"]) == (file.read_text(), [name])
        grants = bodies[f"/_security/role/{name}"]["indices"]
        assert all(
            n.startswith(("logs-ordertrace.", "ordertrace.")) for grant in grants for n in grant["names"]
        )
    assert all(headers["authorization"].startswith("Basic ") for _, _, headers, _ in server.asked)
    told = done.stdout + done.stderr
    assert not any(path.read_text() in told for path in secrets.iterdir())


def test_a_setup_that_fails_says_so_with_its_exit_code(checkout: Path) -> None:
    script = checkout / "collector-config/compose/setup.py"
    with recording({}) as server:
        url = {"ORDERTRACE_ES_URL": server.url}
        done, _ = run_setup(script, "elasticsearch", url, checkout / "secrets", exit_code=2)
    assert done.returncode == 1 and "exit code 2" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("answer", "code"), [({"success": True, "successCount": 3}, 0), ({"success": False}, 1)]
)
def test_the_saved_objects_are_imported_over_those_of_before(
    checkout: Path, answer: dict[str, Any], code: int
) -> None:
    objects = checkout / "collector-config/kibana/ordertrace.ndjson"
    objects.parent.mkdir(exist_ok=True)
    objects.write_text('{"id":"a"}\n{"id":"ü"}\n', encoding="utf-8")
    script = checkout / "collector-config/compose/setup.py"
    with recording(answer) as server:
        done, _ = run_setup(script, "kibana", {"ORDERTRACE_KIBANA_URL": server.url}, checkout / "secrets")
    assert done.returncode == code, done.stderr
    [(method, path, headers, body)] = server.asked
    assert (method, path) == ("POST", "/api/saved_objects/_import?overwrite=true")
    assert headers["kbn-xsrf"]
    boundary = headers["content-type"].partition("boundary=")[2].encode()
    _, part, end = body.split(b"--" + boundary)
    assert part.partition(b"\r\n\r\n")[2] == objects.read_bytes() + b"\r\n" and end == b"--\r\n"


def test_the_saved_objects_are_there() -> None:
    assert (ROOT / "collector-config/kibana/ordertrace.ndjson").is_file()


def test_kibana_starts_with_its_secrets_in_its_keystore_and_none_on_a_command_line(
    checkout: Path, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "config").mkdir()
    log = tmp_path / "log"
    keystore, start = tmp_path / "bin/kibana-keystore", tmp_path / "kibana-docker"
    keystore.write_text(f'#!/bin/sh\necho "$@ <$([ "$1" = add ] && cat)" >>{log}\n')
    start.write_text(f'#!/bin/sh\necho "start $@" >>{log}\nenv >>{log}.env\n')
    for tool in (keystore, start):
        tool.chmod(0o755)
    text = (SCRIPTS / "kibana.sh").read_text(encoding="utf-8")
    text = text.replace("/usr/share/kibana", str(tmp_path)).replace(
        "/usr/local/bin/kibana-docker", str(start)
    )
    text = text.replace("/run/secrets", str(checkout / "secrets"))
    subprocess.run(["bash", "-c", text], check=True, stdin=subprocess.DEVNULL)
    lines = log.read_text().splitlines()
    password = (checkout / "secrets/kibana_password").read_text()
    assert lines[0] == "create <" and lines[-1] == "start "
    assert f"add --force --stdin elasticsearch.password <{password}" in lines
    assert password not in Path(f"{log}.env").read_text()


def test_elasticsearch_starts_with_its_password_and_none_on_a_command_line(
    checkout: Path, tmp_path: Path
) -> None:
    start = tmp_path / "docker-entrypoint.sh"
    start.write_text('#!/bin/bash\necho "$@"\nenv\n')  # as the image's own; dash drops names with dots
    start.chmod(0o755)
    shell, flag, code = SERVICES["elasticsearch"]["entrypoint"]
    code = code.replace("/usr/local/bin/docker-entrypoint.sh", str(start))
    code = code.replace("/run/secrets", str(checkout / "secrets"))
    done = subprocess.run(
        [shell, flag, code],
        env={**os.environ, "discovery.type": "single-node"},
        capture_output=True,
        text=True,
    )
    first, *environment = done.stdout.splitlines()
    assert first == "eswrapper" and "discovery.type=single-node" in environment
    assert f"ELASTIC_PASSWORD={(checkout / 'secrets/elastic_password').read_text()}" in environment


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")
def test_the_health_check_of_elasticsearch_signs_in_and_fails_where_it_is_busy(checkout: Path) -> None:
    _, *command = SERVICES["elasticsearch"]["healthcheck"]["test"]
    password = (checkout / "secrets/elastic_password").read_text()
    command[-1] = command[-1].replace("/run/secrets", str(checkout / "secrets"))
    assert password not in command[-1]
    with recording({}, busy=1) as server:
        command[-1] = command[-1].replace("http://127.0.0.1:9200", server.url)
        environment = {**os.environ, "no_proxy": "*"}
        codes = [subprocess.run(command, env=environment, check=False).returncode for _ in range(2)]
    assert codes[0] != 0 and codes[1] == 0
    signed = base64.b64encode(f"elastic:{password}".encode()).decode()
    assert {headers["authorization"] for _, _, headers, _ in server.asked} == {f"Basic {signed}"}


@contextmanager
def started(*command: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def until(found: Any, timeout: float = 45.0) -> Any:
    deadline = time.monotonic() + timeout
    while True:
        try:
            value = found()
        except OSError:
            value = None
        if value:
            return value
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)


def demo_sender(url: str, secret: Path) -> Sender:
    """The sender of the demo's only receiver, with another address and its secret in another place."""
    demo = yaml.safe_load((SCRIPTS / "demo/ordertrace.yaml").read_text(encoding="utf-8"))["alerting"]
    [receiver] = demo["receivers"]
    assert receiver["secrets_file"] == "/run/secrets/webhook_secret"
    receiver |= {"url": url, "secrets_file": str(secret)}
    return build_senders(alerting_config(demo))["team"]


def test_the_catcher_shows_what_the_rules_service_sends_and_takes_nothing_else(
    checkout: Path, tmp_path: Path
) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    port, secret, other = free_port(), checkout / "secrets/webhook_secret", tmp_path / "other"
    other.write_text("whsec_" + "A" * 43 + "=", encoding="ascii")
    url, now = f"http://127.0.0.1:{port}/", time.time_ns()

    def page() -> str:
        return opener.open(url, timeout=5).read().decode()

    with started(str(SCRIPTS / "catcher.py"), str(port), str(secret)):
        until(page)
        sender = demo_sender(url, secret)
        sample = sample_delivery(sender, "team", now)
        body = sample.body.encode()
        headers = signed_headers(sample.key, now // 10**9, body, [Secret(secret.read_text())])
        refused = [
            demo_sender(url, other).send(sample, now),  # another secret
            sender.send(sample, now - 400 * 10**9),  # a recording of it, later
        ]
        assert [result.http_status for result in refused] == [401, 401]
        for sent, given in ((body, {}), (body.replace(b"nothing", b"much"), headers)):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                opener.open(urllib.request.Request(url, sent, given), timeout=5)
        assert page() == "nothing was told yet\n"
        assert isinstance(sender.send(sample, now), Ok)
        assert "this is a test" in page() and "There is nothing to do." in page()


def test_the_secret_that_the_demo_signs_with_reaches_who_signs_and_who_checks() -> None:
    holders = {name for name, each in SERVICES.items() if "webhook_secret" in each.get("secrets", ())}
    assert holders == {"rules", "worker", "catcher"}
    assert SERVICES["catcher"]["command"][-1] == "/run/secrets/webhook_secret"


def test_the_shop_sells_and_says_so_where_its_transport_leads(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    with started(str(SCRIPTS / "shop.py"), str(tmp_path), ORDERTRACE_TRANSPORT=f"file:{events}"):
        until(lambda: b"order.paid" in events.read_bytes() and (tmp_path / "carrier.log").read_bytes())
    demo = yaml.safe_load((SCRIPTS / "demo/ordertrace.yaml").read_text(encoding="utf-8"))
    assert {Path(t["path"]).name for t in demo["tail"]} == {"carrier.log"}


# the client's own opinion --------------------------------------------------------------------------------
def compose() -> list[str]:
    """The compose command of this machine; skips where there is none."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            asked = subprocess.run([*command, "version"], capture_output=True, check=False)
            if asked.returncode == 0:
                return command
    pytest.skip("neither `docker compose` nor docker-compose is on this machine")


@pytest.mark.parametrize("file", FILES)
def test_compose_takes_the_file(file: str, checkout: Path) -> None:
    done = subprocess.run(
        [*compose(), "--file", file, "config"], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = yaml.safe_load(done.stdout)["services"]
    assert set(shown) >= {n for n, s in FILES[file]["services"].items() if "profiles" not in s}
    assert not any(path.read_text() in done.stdout for path in (checkout / "secrets").iterdir())


def test_the_python_of_the_image_is_one_that_ordertrace_supports() -> None:
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    images = set(re.findall(r"^FROM python:(3\.\d+)-slim", (ROOT / "Dockerfile").read_text(), re.M))
    assert len(images) == 1 and f"Python :: {images.pop()}" in setup
