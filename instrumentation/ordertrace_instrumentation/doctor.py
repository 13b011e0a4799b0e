"""`python -m ordertrace_instrumentation.doctor app:app`: what is instrumented in a service, what is not and why.

It imports the service as its server would, hooks its libraries as `ordertrace-instrument` does, and shows one log
record as it would be shipped. By itself it ships nothing.
"""

import argparse
import importlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ordertrace_instrumentation.context import order
from ordertrace_instrumentation.integrations import Outcome, instrument_all, survey
from ordertrace_instrumentation.logs import ecs_record, stamp
from ordertrace_instrumentation.record import json_line, safe_text
from ordertrace_instrumentation.settings import ENVIRONMENT, UNKNOWN_SERVICE, Settings, read_settings
from ordertrace_instrumentation.shim import current_shim

SAMPLE_ORDER = "SO-DOCTOR-1"
_MARKS = {"instrumented": "ok  ", "waiting": "-   ", "skipped": "-   ", "failed": "fail", "off": "-   "}


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 where the service cannot be imported or a library could not be hooked."""
    parser = argparse.ArgumentParser(
        "python -m ordertrace_instrumentation.doctor",
        description="Tell what is instrumented in a service, what is not and why, and show one enriched record.",
    )
    parser.add_argument("service", metavar="MODULE[:NAME]", help="as its server is given it: app:app")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    given = parser.parse_args(arguments)
    report = examine(given.service)
    print(json.dumps(report, ensure_ascii=False, indent=2) if given.format == "json" else _as_text(report))
    failed = any(one["state"] == "failed" for one in report["integrations"])
    return 1 if failed or report["error"] else 0


def examine(service: str) -> dict[str, Any]:
    """Import `module:name`, and say what there is to say of it, as JSON can carry it."""
    settings, problems = read_settings({})
    for variable in ENVIRONMENT["transport"]:
        os.environ.pop(variable, None)  # whatever the service logs while it is imported stays here
    instrument_all()
    with redirect_stdout(sys.stderr):  # what the service prints is not part of the report
        error = _import(service)
    in_code = current_shim().settings  # of the service's own `configure`, if it calls it
    if in_code.service != UNKNOWN_SERVICE or in_code.transport:
        settings = in_code if in_code.transport else _with_transport(in_code, settings)
    record, line = _sample()
    return {
        "service": service,
        "error": error,
        "integrations": [asdict(outcome) for outcome in survey()],
        "settings": {
            "service": settings.service,
            "namespace": settings.namespace,
            "transport": [f"{t.kind} {t.place}".strip() for t in settings.transport],
            "order_id_patterns": [pattern.pattern for pattern in settings.order_id_patterns],
        },
        "hints": [*problems, *_hints(settings)],
        "record": record,
        "line": line,
    }


def _with_transport(in_code: Settings, environment: Settings) -> Settings:
    return type(in_code)(
        service=in_code.service,
        namespace=in_code.namespace,
        transport=environment.transport,
        order_id_patterns=in_code.order_id_patterns,
    )


def _import(service: str) -> str:
    """Import it from the current directory; returns what went wrong, and the way out, or ""."""
    name, _, attribute = service.partition(":")
    if not name or "/" in name or name.endswith(".py"):
        return f"{service!r} is no module: name it as in `import`, such as app:app for app.py"
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(name)
        for part in filter(None, attribute.removesuffix("()").split(".")):
            found = getattr(found, part)
        if attribute.endswith("()"):
            found()
    except ModuleNotFoundError as error:
        if error.name == name.partition(".")[0]:
            return (
                f"there is no module {name!r} here: run it where the service is started, in its environment"
            )
        return f"{name} cannot be imported: {safe_text(error)}; run it in the service's own environment"
    except AttributeError as error:
        return f"{name} has no {attribute!r}: {safe_text(error)}"
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the service's own code
        return f"{name} cannot be imported: {type(error).__name__}: {safe_text(error, 500)}"
    return ""


def _hints(settings: Settings) -> list[str]:
    hints: list[str] = []
    if settings.service == UNKNOWN_SERVICE:
        hints.append("the service has no name: set ORDERTRACE_SERVICE")
    if not settings.transport:
        hints.append("nothing is shipped: set ORDERTRACE_TRANSPORT, such as forward://collector:24224")
    if not settings.order_id_patterns:
        hints.append("orders named only in messages are not recognised: set ORDERTRACE_ORDER_ID_PATTERNS")
    return hints


def _sample() -> tuple[dict[str, Any], str]:
    """One record of an order, as it would be shipped, and as the service's first root handler writes it."""
    with order(SAMPLE_ORDER):
        said = logging.LogRecord(
            "ordertrace.doctor", logging.INFO, __file__, 0, "a record of an order", (), None
        )
        record = ecs_record(said, stamp(said))
    handlers = logging.getLogger().handlers
    if not handlers:
        return record, ""
    try:
        return record, str(handlers[0].format(said))
    except Exception as error:  # noqa: BLE001 - the service's own formatter
        return (
            record,
            f"the format of the first root handler fails: {type(error).__name__}: {safe_text(error)}",
        )


def _as_text(report: dict[str, Any]) -> str:
    lines = [f"service {report['service']}"]
    if report["error"]:
        lines += [f"fail  {report['error']}"]
    width = max(len(one["name"]) for one in report["integrations"])
    lines += ["", "libraries"]
    lines += [_row(Outcome(**one), width) for one in report["integrations"]]
    settings = report["settings"]
    lines += ["", "settings"]
    lines += [f"      {name}: {_shown(settings[name])}" for name in settings]
    lines += [f"warn  {hint}" for hint in report["hints"]]
    lines += ["", "one record, as it is shipped", json_line(report["record"])]
    if report["line"]:
        lines += ["", "the same, as the service's own first handler writes it", report["line"]]
    return "\n".join(lines)


def _row(one: Outcome, width: int) -> str:
    said = one.why if one.why else one.state
    if one.state == "waiting":
        said = "the service does not import it"
    return f"{_MARKS[one.state]}  {one.name:<{width}}  {one.version or '':<8} {said}".rstrip()


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
