"""The libraries that are hooked with no change of code: a table, and what was done with each.

A library is hooked when the service first imports it; nothing is imported for the service's sake before.
"""

import importlib
import os
import re
from dataclasses import dataclass
from importlib import metadata, util
from typing import Any, Literal

from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.importhook import ImportHook
from ordertrace_instrumentation.record import safe_text

DISABLED = "ORDERTRACE_DISABLED_INSTRUMENTATIONS"
DISABLED_BY_OTEL = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
ENTRY_POINT = "ordertrace_"  # a prefix: what OpenTelemetry calls each of them


@dataclass(frozen=True, slots=True)
class Integration:
    """`module` of ours hooks a library once `trigger`, a module of the library, is imported.

    `requires` is the distribution with the oldest version that is hooked, as pip writes it; empty for the standard
    library.
    """

    module: str
    trigger: str
    requires: str = ""

    @property
    def distribution(self) -> str:
        return self.requires.partition(" ")[0]


INTEGRATIONS: dict[str, Integration] = {
    "flask": Integration("web.flask", "flask", "flask >= 3.0"),
    "requests": Integration("clients.requests", "requests", "requests >= 2.31"),
    "django": Integration("web.django", "django.core.handlers.base", "django >= 4.2"),
    "starlette": Integration("web.starlette", "starlette.applications", "starlette >= 0.37"),
    "httpx": Integration("clients.httpx", "httpx", "httpx >= 0.27"),
    "aiohttp": Integration("clients.aiohttp", "aiohttp", "aiohttp >= 3.9"),
    "pika": Integration("queues.pika", "pika", "pika >= 1.3"),
    "kombu": Integration("queues.kombu", "kombu.messaging", "kombu >= 5.3"),
    "celery": Integration("queues.celery", "celery.app", "celery >= 5.3"),
    "kafka_python": Integration("queues.kafka_python", "kafka", "kafka-python >= 2.0.3"),
    "confluent_kafka": Integration("queues.confluent_kafka", "confluent_kafka", "confluent-kafka >= 2.4"),
    "threads": Integration("queues.threads", "threading"),
    "logging": Integration("loggers.stdlib", "logging"),
    "structlog": Integration("loggers.structlog", "structlog", "structlog >= 24.1"),
    "loguru": Integration("loggers.loguru", "loguru", "loguru >= 0.7"),
    "ecs_logging": Integration("loggers.ecs_logging", "ecs_logging", "ecs-logging >= 2.1"),
    "json_logger": Integration("loggers.json_logger", "pythonjsonlogger.core", "python-json-logger >= 3.1"),
    "fluent": Integration("loggers.fluent", "fluent.handler", "fluent-logger >= 0.11.1"),
    "opentelemetry": Integration("spans", "opentelemetry.sdk.trace", "opentelemetry-sdk >= 1.30"),
}
"""Name -> what hooks it. The names are those of ORDERTRACE_DISABLED_INSTRUMENTATIONS; OpenTelemetry knows them with
`ordertrace_` before."""

State = Literal["instrumented", "waiting", "skipped", "failed", "off"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one integration, and why. `waiting`: it is hooked once the service imports it."""

    name: str
    state: State
    why: str = ""
    version: str = ""  # of the library


_hook = ImportHook()
_done: dict[str, Outcome] = {}


def instrument_all() -> list[Outcome]:
    """Hook every library that is imported, now or when it is. Twice is as good as once; never raises."""
    return [instrument_one(name) for name in INTEGRATIONS]


def uninstrument_all() -> None:
    """Leave every library as it was, and hook none that is imported from now on."""
    _hook.forget()
    for name in list(_done):
        uninstrument_one(name)


def instrument_one(name: str) -> Outcome:
    """Do for one library what `instrument_all` does for each."""
    if outcome_of(name).state in ("instrumented", "waiting"):
        return outcome_of(name)
    because = _disabled(name)
    if because:
        _done[name] = Outcome(name, "skipped", because)
    else:
        _done[name] = Outcome(name, "waiting")
        _hook.when_imported(INTEGRATIONS[name].trigger, lambda: _instrument(name))
    return outcome_of(name)


def uninstrument_one(name: str) -> None:
    """Undo it, if it was done."""
    done = _done.pop(name, None)
    if done is not None and done.state == "instrumented":
        try:
            _module(name).uninstrument()
        except Exception as error:  # noqa: BLE001
            complain_once(f"{name} could not be left as it was: {safe_text(error)}")


def outcome_of(name: str) -> Outcome:
    """The present state of one integration."""
    return _done.get(name, Outcome(name, "off", "nobody asked for it"))


def survey() -> list[Outcome]:
    """The present state of all, with what only a look at the installed distributions tells: slower, for people."""
    return [_looked_up(outcome_of(name)) for name in INTEGRATIONS]


def _looked_up(outcome: Outcome) -> Outcome:
    integration = INTEGRATIONS[outcome.name]
    version = _version(integration.distribution) if integration.requires else ""
    if outcome.state != "waiting":
        return Outcome(outcome.name, outcome.state, outcome.why, version)
    if util.find_spec(integration.trigger.partition(".")[0]) is None:
        return Outcome(outcome.name, "skipped", f"{integration.distribution} is not installed")
    too_old = _too_old(integration)
    if too_old:
        return Outcome(outcome.name, "skipped", too_old, version)
    return Outcome(outcome.name, "waiting", f"{integration.trigger} is not imported yet", version)


def _instrument(name: str) -> None:
    """The library is there: hook it. Whatever happens, the service's import succeeds."""
    try:
        too_old = _too_old(INTEGRATIONS[name])
        if too_old:
            complain_once(f"{name} is not instrumented: {too_old}")
            _done[name] = Outcome(name, "skipped", too_old)
        else:
            _module(name).instrument()
            _done[name] = Outcome(name, "instrumented")
    except Exception as error:  # noqa: BLE001
        why = f"{type(error).__name__}: {safe_text(error, 300)}"
        complain_once(f"{name} could not be instrumented: {why}")
        _done[name] = Outcome(name, "failed", why)


def _module(name: str) -> Any:
    # Loaded by name: it imports its library, which is there only where the service uses it.
    return importlib.import_module(f"ordertrace_instrumentation.{INTEGRATIONS[name].module}")


def _disabled(name: str) -> str:
    """Why the environment wants it left alone, or ""."""
    for variable, listed_as in ((DISABLED, name), (DISABLED_BY_OTEL, ENTRY_POINT + name)):
        listed = {item.strip() for item in os.environ.get(variable, "").split(",")}
        if listed & {listed_as, "*"}:
            return f"{variable} names it"
    return ""


def _too_old(integration: Integration) -> str:
    """Why the installed version is not hooked, or "". One that nobody can tell is tried."""
    if not integration.requires:
        return ""
    version = _version(integration.distribution)
    oldest = integration.requires.partition(" >= ")[2]
    if not version or _numbers(version) >= _numbers(oldest):
        return ""
    return f"{integration.distribution} {version} is older than {oldest}"


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
