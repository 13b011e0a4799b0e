"""What a site sets, from `ordertrace.yaml` and the environment, checked as a whole.

The file is the one given, else the one that ORDERTRACE_CONFIG names, else ./ordertrace.yaml if it is there. Over it
are laid the files that ORDERTRACE_OVERLAY names, divided by commas, one after the other. A variable ORDERTRACE_<NAME>
wins over all of them; an empty one counts as not set. Paths in a file are relative to the file, paths in the
environment to the working directory. A secret may lie in a file of its own, which ORDERTRACE_<NAME>_FILE names: so
that it stands in no environment.
"""

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any, Literal

from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.errors import AlertConfigError
from ordertrace_rules.actions.targets import action_rules
from ordertrace_rules.aliases import DEFAULT_KINDS, AliasKind
from ordertrace_rules.completeness import CompletenessRules, Judgement
from ordertrace_rules.errors import ConfigError, Problem
from ordertrace_rules.fields import Reading, without_user
from ordertrace_rules.overlay import overlaid
from ordertrace_rules.rephrase import RephraseSettings
from ordertrace_rules.setting_table import (
    CONFIG,
    FILE_SUFFIX,
    PREFIX,
    SECRET_VARIABLES,
    SETTINGS,
    data_of,
    variable_of,
)
from ordertrace_rules.times import DAY, MINUTE
from ordertrace_rules.yamlfile import NodePath, Place, Span, YamlDocument, load_yaml

CONFIG_VARIABLE = PREFIX + "CONFIG"
OVERLAY_VARIABLE = PREFIX + "OVERLAY"
DEFAULT_FILE = Path("ordertrace.yaml")
_EMPTY_WHERE_NOT_SET = (
    *("token", "forward_shared_key", "mask_key"),
    *("es_username", "es_password", "es_api_key"),
)
_SECRET = re.compile(
    r"(?i)((?:tok|key|secret|passw|credential|(?<!public_)url)[\w-]*[\"']?\s*[:=]\s*)[^\s,}].*"
)


@dataclass(frozen=True, slots=True)
class WebhookSource:
    """A platform or carrier that posts to us under its own name and token."""

    token: str = field(repr=False)
    mapping: Path | None = None


@dataclass(frozen=True, slots=True)
class TailedFile:
    """A log file that is followed. `service` stands where its lines do not say one."""

    path: Path
    service: str = ""
    mapping: Path | None = None


@dataclass(frozen=True, slots=True)
class ForeignIndex:
    """An index of another program, read where it is. Durations are nanoseconds."""

    index: str
    mapping: Path | None = None
    service: str = ""
    time_field: str = "@timestamp"
    query: str = ""
    lateness: int = 2 * MINUTE
    since: int = 7 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, with defaults filled in. Durations are nanoseconds. Secrets are not in its repr."""

    store: Literal["sqlite", "elasticsearch", "memory"]
    sqlite_path: Path
    es_url: str
    es_username: str
    es_password: str = field(repr=False)
    es_api_key: str = field(repr=False)
    es_ca_certs: Path | None
    es_namespace: str
    kibana_url: str  # without a slash at its end; empty: no links
    namespace: str
    host: str
    port: int  # 0: the system's choice
    token: str = field(repr=False)
    public_url: str  # without a slash at its end
    forward_host: str
    forward_port: int | None  # 0: the system's choice; None: off
    forward_shared_key: str = field(repr=False)
    forward_tls_cert: Path | None  # None: without TLS
    forward_tls_key: Path | None
    forward_tls_authority: Path | None
    tick_interval: int
    slices: int
    time_scale: float
    processes: tuple[Path, ...]
    playbooks: tuple[Path, ...]
    playbooks_off: tuple[str, ...]
    mappings: tuple[Path, ...]
    masks: tuple[str, ...]
    mask_key: str = field(repr=False)
    sources: Mapping[str, WebhookSource]
    tail: tuple[TailedFile, ...]
    foreign_indices: tuple[ForeignIndex, ...]
    completeness: CompletenessRules
    alias_kinds: Mapping[str, AliasKind]
    guide_templates: Path | None
    rephrase: RephraseSettings | None
    language: Literal["en", "zh"]
    spans_to: str  # without a slash at its end; empty: not exported
    retention: int
    alerting: Mapping[str, Any] = field(repr=False)  # sound, as written; `alerting_config` makes it objects
    actions: Mapping[str, Any] = field(repr=False)  # sound, as written; `action_rules` makes it objects
    document: YamlDocument | None = field(repr=False, compare=False)  # the file; None without one


def load_settings(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the file and the environment. Raises ConfigError with every mistake of both."""
    environ, unread = _with_secret_files(os.environ if environ is None else environ)
    try:
        document = _document(config, environ)
    except ConfigError as error:
        raise ConfigError([_without_secrets(p) for p in error.problems]) from None
    of_file = Reading(document or YamlDocument(str(DEFAULT_FILE), {}, (), {}))
    of_environment = Reading(_environment_document(environ))
    values = CONFIG.read(of_file.document.data, (), of_file) or {}
    _overlay(values, of_environment)
    _check_alerting(values.get("alerting") or {}, of_file)
    _check_actions(values.get("actions") or {}, of_file)
    _check_open_doors(values, of_file, of_environment)
    problems = [*of_file.problems, *(replace(p, line=0) for p in of_environment.problems)]
    problems += [*unread, *_misspelt(environ)]
    if problems:
        raise ConfigError([_without_secrets(p) for p in problems])
    return _build(values, document)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _document(config: Path | None, environ: Mapping[str, str]) -> YamlDocument | None:
    if config is None and environ.get(CONFIG_VARIABLE):
        config = Path(environ[CONFIG_VARIABLE])
    if config is None and DEFAULT_FILE.exists():
        config = DEFAULT_FILE
    named = [name.strip() for name in environ.get(OVERLAY_VARIABLE, "").split(",")]
    files = [*([config] if config else []), *(Path(name) for name in named if name)]
    return reduce(overlaid, map(load_yaml, files)) if files else None


def _overlay(values: dict[str, Any], reading: Reading) -> None:
    """Write what the environment says over what the file says."""
    for each in SETTINGS:
        if each.name in reading.document.data:
            before = len(reading.problems)
            value = each.kind.read(reading.document.data[each.name], (each.name,), reading)
            if len(reading.problems) == before:
                values[each.name] = value


def _check_alerting(data: Mapping[str, Any], reading: Reading) -> None:
    try:
        alerting_config(data)
    except AlertConfigError as error:
        for problem in error.problems:
            reading.problem(("alerting", *problem.path), problem.message, problem.fix)


def _check_actions(data: Mapping[str, Any], reading: Reading) -> None:
    try:
        action_rules(data)
    except AlertConfigError as error:
        for problem in error.problems:
            reading.problem(("actions", *problem.path), problem.message, problem.fix)


def _without_secrets(problem: Problem) -> Problem:
    """The problem with what may be a secret taken out of the line that it shows."""
    text = without_user(_SECRET.sub(r"\1…", problem.text))
    return problem if text == problem.text else replace(problem, text=text, column=0, width=0)


def _environment_document(environ: Mapping[str, str]) -> YamlDocument:
    """The variables as a document, so that a mistake in one is shown like a mistake in the file."""
    given = [s for s in SETTINGS if (variable := variable_of(s)) and environ.get(variable, "").strip()]
    data = {s.name: data_of(s, environ[variable_of(s)]) for s in given}
    lines = tuple(f"{variable_of(s)}={environ[variable_of(s)]}" for s in given)
    spans = [Span(number, 1, len(line)) for number, line in enumerate(lines, start=1)]
    places: dict[NodePath, Place] = {
        (s.name,): Place(span, span) for s, span in zip(given, spans, strict=True)
    }
    return YamlDocument("environment", data, lines, places)


def _with_secret_files(environ: Mapping[str, str]) -> tuple[Mapping[str, str], list[Problem]]:
    """The environment with the secrets that lie in files, and the files that cannot be read."""
    read: dict[str, str] = {}
    problems: list[Problem] = []
    for variable in SECRET_VARIABLES:
        name = variable + FILE_SUFFIX
        if not environ.get(name):
            continue
        if environ.get(variable):
            fix = f"set {variable} or {name}, not both"
            problems.append(Problem("environment", 0, name, f"{variable} is given twice", fix))
            continue
        try:
            read[variable] = Path(environ[name]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            fix = "name a file that this program may read, with the secret in it and nothing else"
            problems.append(Problem("environment", 0, f"{name}={environ[name]}", f"{name}: {said}", fix))
    known = {
        k: v
        for k, v in environ.items()
        if k.removesuffix(FILE_SUFFIX) not in SECRET_VARIABLES or k in SECRET_VARIABLES
    }
    return {**known, **read}, problems


def _misspelt(environ: Mapping[str, str]) -> list[Problem]:
    """Variables that are nearly a setting's. Others with our prefix belong to the instrumentation."""
    known = [variable for s in SETTINGS if (variable := variable_of(s))] + [CONFIG_VARIABLE, OVERLAY_VARIABLE]
    names = [variable.removeprefix(PREFIX) for variable in known]
    problems: list[Problem] = []
    for name in sorted(set(environ) - set(known)):
        if name.startswith(PREFIX) and (
            near := difflib.get_close_matches(name[len(PREFIX) :], names, 1, 0.8)
        ):
            fix = f"did you mean {PREFIX}{near[0]}?"
            problems.append(Problem("environment", 0, name, f"{name} is not a setting", fix))
    return problems


def _check_open_doors(values: Mapping[str, Any], of_file: Reading, of_environment: Reading) -> None:
    """Whoever can reach an open port can read customers' orders and write events: ask for a secret."""
    doors = (("host", "port", "token"), ("forward_host", "forward_port", "forward_shared_key"))
    for host, port, secret in doors:
        off = port in values and values[port] is None
        if values.get(host) and not is_loopback(values[host]) and not off and not values.get(secret):
            reading = of_environment if host in of_environment.document.data else of_file
            fix = f"set {secret} (or {PREFIX}{secret.upper()}), or leave {host} at 127.0.0.1"
            reading.problem((host,), f"listening beyond this machine without “{secret}”", fix)


def _build(values: dict[str, Any], document: YamlDocument | None) -> Settings:
    lateness: int = values.pop("default_lateness")
    by_service = {
        service: Judgement(given["source"], lateness if given["lateness"] is None else given["lateness"])
        for service, given in values["completeness"].items()
    }
    kinds = {
        kind: AliasKind(given["exclusive"], given["reuse_after"], given["issuer_label"] or "")
        for kind, given in values["alias_kinds"].items()
    }
    built: dict[str, Any] = {
        "public_url": (values["public_url"] or _local_url(values["host"], values["port"])).rstrip("/"),
        "sources": {name: WebhookSource(**given) for name, given in values["sources"].items()},
        "tail": tuple(
            TailedFile(given["path"], given["service"] or "", given["mapping"]) for given in values["tail"]
        ),
        "foreign_indices": tuple(_foreign_index(given) for given in values["foreign_indices"]),
        "completeness": CompletenessRules(Judgement(lateness=lateness), by_service),
        "alias_kinds": {**DEFAULT_KINDS, **kinds},
        "rephrase": RephraseSettings(**values["rephrase"]) if values["rephrase"] else None,
    }
    built |= {name: values[name] or "" for name in _EMPTY_WHERE_NOT_SET}
    built |= {name: (values[name] or "").rstrip("/") for name in ("es_url", "kibana_url", "spans_to")}
    built = {**values, **built}
    return Settings(**built, document=document)


def _foreign_index(given: Mapping[str, Any]) -> ForeignIndex:
    values = dict(given)
    values["service"], values["query"] = given["service"] or "", given["query"] or ""
    return ForeignIndex(**values)


def _local_url(host: str, port: int) -> str:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return f"http://{host}:{port}"
    if address.is_unspecified:
        return f"http://localhost:{port}"
    return f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}"
