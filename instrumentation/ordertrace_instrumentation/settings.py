"""The settings: arguments over environment. A wrong one is reported and its default used; none stops a service."""

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from ordertrace_instrumentation.identity import DEFAULT_NAMESPACE
from ordertrace_instrumentation.misspelt import misspelt_variables
from ordertrace_instrumentation.places import DEFAULT_SOURCES, Source, read_sources
from ordertrace_instrumentation.privacy import Privacy, read_names

Network = IPv4Network | IPv6Network
UNKNOWN_SERVICE = "unknown_service"  # OpenTelemetry's word for a service without a name
DEFAULT_PORT = 24224  # the Forward protocol's


@dataclass(frozen=True, slots=True)
class Target:
    """Where records go. `place` is a path for `file`, `HOST:PORT,…` for `forward`, else empty."""

    kind: Literal["stdout", "file", "forward", "otlp"]
    place: str = ""
    tls: bool = False

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Of `forward`: the servers, of which the first that takes records gets them."""
        pairs = (address.rpartition(":") for address in self.place.split(","))
        return tuple((host, int(port)) for host, _, port in pairs)


@dataclass(frozen=True, slots=True)
class Settings:
    """`docs/instrumentation.md` explains each. Durations are seconds, sizes bytes."""

    service: str = UNKNOWN_SERVICE
    namespace: str = DEFAULT_NAMESPACE
    transport: tuple[Target, ...] = ()
    spool_dir: Path | None = None
    spool_max_bytes: int = 64 * 1024 * 1024
    spool_full: Literal["newest", "oldest"] = "newest"  # what is dropped then
    queue_max_records: int = 10_000
    order_id_patterns: tuple[re.Pattern[str], ...] = ()
    order_id_from: tuple[Source, ...] = DEFAULT_SOURCES
    heartbeat_interval: float = 30.0
    trusted_hosts: frozenset[str] = frozenset()
    trusted_peers: tuple[Network, ...] = ()
    capture_logging: bool = False
    privacy: Privacy = field(default_factory=Privacy)
    forward_ca_file: Path | None = None
    forward_cert_file: Path | None = None
    forward_key_file: Path | None = None
    forward_server_name: str = ""
    forward_shared_key: str = field(default="", repr=False)
    forward_user: str = ""
    forward_password: str = field(default="", repr=False)


ENVIRONMENT: Mapping[str, tuple[str, ...]] = {
    "service": ("ORDERTRACE_SERVICE", "OTEL_SERVICE_NAME"),
    "namespace": ("ORDERTRACE_NAMESPACE",),
    "transport": ("ORDERTRACE_TRANSPORT",),
    "spool_dir": ("ORDERTRACE_SPOOL_DIR",),
    "spool_max_bytes": ("ORDERTRACE_SPOOL_MAX_BYTES",),
    "spool_full": ("ORDERTRACE_SPOOL_FULL",),
    "queue_max_records": ("ORDERTRACE_QUEUE_MAX_RECORDS",),
    "order_id_patterns": ("ORDERTRACE_ORDER_ID_PATTERNS",),
    "order_id_from": ("ORDERTRACE_ORDER_ID_FROM",),
    "heartbeat_interval": ("ORDERTRACE_HEARTBEAT_INTERVAL",),
    "trusted_hosts": ("ORDERTRACE_TRUSTED_HOSTS",),
    "trusted_peers": ("ORDERTRACE_TRUSTED_PEERS",),
    "capture_logging": ("ORDERTRACE_CAPTURE_LOGGING",),
    "field_allow": ("ORDERTRACE_FIELD_ALLOW",),
    "field_deny": ("ORDERTRACE_FIELD_DENY",),
    "field_hash": ("ORDERTRACE_FIELD_HASH",),
    "field_hash_key": ("ORDERTRACE_FIELD_HASH_KEY",),
    "max_message": ("ORDERTRACE_MAX_MESSAGE",),
    "max_label": ("ORDERTRACE_MAX_LABEL",),
    "forward_ca_file": ("ORDERTRACE_FORWARD_CA_FILE",),
    "forward_cert_file": ("ORDERTRACE_FORWARD_CERT_FILE",),
    "forward_key_file": ("ORDERTRACE_FORWARD_KEY_FILE",),
    "forward_server_name": ("ORDERTRACE_FORWARD_SERVER_NAME",),
    "forward_shared_key": ("ORDERTRACE_FORWARD_SHARED_KEY",),
    "forward_user": ("ORDERTRACE_FORWARD_USER",),
    "forward_password": ("ORDERTRACE_FORWARD_PASSWORD",),
}
"""The variables of each setting, the first that is set and not empty decides."""

VARIABLES = tuple(variable for variables in ENVIRONMENT.values() for variable in variables)

_OF_PRIVACY = {
    "field_allow": "allow",
    "field_deny": "deny",
    "field_hash": "hashed",
    "field_hash_key": "hash_key",
    "max_message": "max_message",
    "max_label": "max_label",
}

SECRETS = ("forward_shared_key", "forward_password", "field_hash_key")
"""Settings whose variable with `_FILE` behind it may name a file that holds the secret. No complaint shows them."""


def read_settings(
    arguments: Mapping[str, object], environment: Mapping[str, str] | None = None
) -> tuple[Settings, list[str]]:
    """Return the settings and what is wrong with what was given. `None` as an argument means "not given"."""
    environment = os.environ if environment is None else environment
    settings, problems = Settings(), list[str]()
    for name, variables in ENVIRONMENT.items():
        given, source = arguments.get(name), f"configure({name}=…)"
        if given is None:
            source = next((v for v in variables if environment.get(v, "").strip()), "")
            if not source:
                given, source = _secret_of_file(name, variables, environment, problems)
            else:
                given = environment[source].strip()
            if given is None:
                continue
        try:
            value = _READERS[name](given, problems)
            if name in _OF_PRIVACY:
                value, name = replace(settings.privacy, **{_OF_PRIVACY[name]: value}), "privacy"
            settings = replace(settings, **{name: value})
        except Exception as error:  # noqa: BLE001 - whatever was given, the service starts
            shown = "a secret" if name in SECRETS else f"{given!r:.80}"
            if name in _OF_PRIVACY:
                settings = replace(settings, privacy=_closed(settings.privacy, name))
                problems.append(f"{source} is {shown}: {error}; {_CLOSED}")
                continue
            default = getattr(settings, name)
            problems.append(f"{source} is {shown}: {error}; {default!r} is used instead")
    problems += [
        f"{name} is no setting: did you mean {meant}?"
        for name, meant in misspelt_variables(environment, VARIABLES)
    ]
    if settings.privacy.hashed and not settings.privacy.hash_key:
        privacy = settings.privacy
        settings = replace(
            settings, privacy=replace(privacy, hashed=(), deny=(*privacy.deny, *privacy.hashed))
        )
        problems.append("field_hash needs field_hash_key, a secret: until then those fields are left out")
    if settings.service == UNKNOWN_SERVICE and settings.transport:
        problems.append("the service has no name: set ORDERTRACE_SERVICE or call configure(service=…)")
    return settings, problems


_CLOSED = "to be safe only what is needed leaves the service"


def _closed(privacy: Privacy, name: str) -> Privacy:
    """Where a list cannot be read, nothing may leave that it might have held back; a length has its default."""
    return replace(privacy, allow=("ordertrace.*",)) if name.startswith("field_") else privacy


def read_target(text: str) -> Target:
    """Read `stdout`, `file:PATH`, `forward://HOST[:PORT],…`, `forward+tls://HOST[:PORT],…` or `otlp`.

    Raises ValueError.
    """
    if text in ("stdout", "otlp"):
        return Target(text)
    if text.startswith("file:") and len(text) > 5:
        path = text.removeprefix("file://") if text.startswith("file://") else text.removeprefix("file:")
        return Target("file", str(Path(path).absolute()))
    scheme, _, hosts = text.partition("://")
    if scheme in _FORWARD and hosts:
        return Target("forward", ",".join(map(_address, hosts.split(","))), tls=scheme == "forward+tls")
    raise ValueError(f"{text!r:.80} is none of stdout, file:PATH, forward://HOST:PORT, otlp")


_FORWARD = ("forward", "forward+tls")


def _address(text: str) -> str:
    parts = urlsplit(f"//{text.strip()}")
    if "@" in parts.netloc:
        raise ValueError("user and password belong into forward_user and forward_password")
    if not parts.hostname:
        raise ValueError(f"{text!r:.80} is no HOST:PORT")
    return f"{parts.hostname}:{parts.port or DEFAULT_PORT}"


def _transport(given: object, problems: list[str]) -> tuple[Target, ...]:
    """In a comma list, what has no scheme is one more address of the Forward target before it."""
    texts: list[object] = []
    for item in _items(given):
        before = texts[-1] if texts else ""
        further = (
            isinstance(item, str) and ":/" not in item and not item.startswith(("stdout", "otlp", "file:"))
        )
        if further and isinstance(before, str) and before.startswith("forward") and "://" in before:
            texts[-1] = f"{before},{item}"
        else:
            texts.append(item)
    return tuple(dict.fromkeys(_each(texts, read_target, "transport", problems)))


def _secret_of_file(
    name: str, variables: Sequence[str], environment: Mapping[str, str], problems: list[str]
) -> tuple[str | None, str]:
    """The secret in the file that `<variable>_FILE` names, and that variable; None where there is none."""
    for variable in variables if name in SECRETS else ():
        path = environment.get(f"{variable}_FILE", "").strip()
        if path:
            try:
                return Path(path).read_text("utf-8").strip(), f"{variable}_FILE"
            except (OSError, UnicodeDecodeError) as error:
                problems.append(f"{variable}_FILE is {path!r:.80}, which cannot be read: {error}")
    return None, ""


def _patterns(given: object, problems: list[str]) -> tuple[re.Pattern[str], ...]:
    if isinstance(given, str):
        listed = _json_list(given)
        given = [given] if listed is None else listed
    return tuple(_each(_items(given), re.compile, "order id pattern", problems))


def _json_list(text: str) -> list[Any] | None:
    """A JSON list of texts; `[A-Z]+` is none, though it begins like one."""
    try:
        listed = json.loads(text) if text.lstrip().startswith("[") else None
    except ValueError:
        return None
    return listed if isinstance(listed, list) and all(isinstance(p, str) for p in listed) else None  # pyright: ignore[reportUnknownVariableType]


def _peers(given: object, problems: list[str]) -> tuple[Network, ...]:
    def network(text: str) -> Network:
        return ip_network(text, strict=False)

    return tuple(_each(_items(given), network, "trusted peer", problems))


def _hosts(given: object, problems: list[str]) -> frozenset[str]:
    return frozenset(str(host).lower() for host in _items(given))


def _each(items: Iterable[Any], read: Callable[[Any], Any], what: str, problems: list[str]) -> list[Any]:
    """Those that can be read; one bad item doesn't cost the others."""
    good: list[Any] = []
    for item in items:
        try:
            good.append(read(item))
        except Exception as error:  # noqa: BLE001
            problems.append(f"{what} {item!r:.80} is left out: {error}")
    return good


def _items(given: object) -> Sequence[Any]:
    if isinstance(given, str):
        return [part.strip() for part in given.split(",") if part.strip()]
    if isinstance(given, Iterable):
        return list(given)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    raise ValueError("a text or a list is expected")


def _text(given: object, problems: list[str]) -> str:
    if not str(given).strip():
        raise ValueError("it is empty")
    return str(given).strip()


def _drop(given: object, problems: list[str]) -> str:
    word = str(given).strip().lower()
    if word not in ("newest", "oldest"):
        raise ValueError("newest or oldest is expected")
    return word


def _positive_int(given: object, problems: list[str]) -> int:
    number = int(str(given))
    if number <= 0:
        raise ValueError("a number above 0 is expected")
    return number


def _interval(given: object, problems: list[str]) -> float:
    seconds = float(str(given))
    if not math.isfinite(seconds) or seconds <= 0:
        raise ValueError("a number of seconds above 0 is expected")
    return seconds


def _switch(given: object, problems: list[str]) -> bool:
    word = str(given).strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("true or false is expected")


def _file(given: Any, problems: list[str]) -> Path:
    path = Path(given).absolute()
    if not path.is_file():
        raise ValueError("there is no such file")
    return path


_READERS: Mapping[str, Callable[[Any, list[str]], Any]] = {
    "service": _text,
    "namespace": _text,
    "transport": _transport,
    "spool_dir": lambda given, problems: Path(given).absolute(),
    "spool_max_bytes": _positive_int,
    "spool_full": _drop,
    "queue_max_records": _positive_int,
    "order_id_patterns": _patterns,
    "order_id_from": read_sources,
    "heartbeat_interval": _interval,
    "trusted_hosts": _hosts,
    "trusted_peers": _peers,
    "capture_logging": _switch,
    "field_allow": lambda given, problems: read_names(_items(given)),
    "field_deny": lambda given, problems: read_names(_items(given)),
    "field_hash": lambda given, problems: read_names(_items(given)),
    "field_hash_key": _text,
    "max_message": _positive_int,
    "max_label": _positive_int,
    "forward_ca_file": _file,
    "forward_cert_file": _file,
    "forward_key_file": _file,
    "forward_server_name": _text,
    "forward_shared_key": _text,
    "forward_user": _text,
    "forward_password": _text,
}
