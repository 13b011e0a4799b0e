"""`ordertrace doctor`: is everything in order here, and if not, what to do."""

import json
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import click

from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.output import output_console
from ordertrace_rules.completeness import FOREVER, Completeness
from ordertrace_rules.engine import CHECKPOINT
from ordertrace_rules.errors import ConfigError, OrdertraceError
from ordertrace_rules.service import Service
from ordertrace_rules.settings import Settings
from ordertrace_rules.stores.opening import store_place
from ordertrace_rules.times import DAY, MINUTE, NS, format_duration, format_instant

SILENT_AFTER = 10 * MINUTE
LONG_AGO = DAY
MARKS = {"ok": "[green]ok[/]  ", "warning": "[yellow]warn[/]", "failed": "[red]fail[/]"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `fix` says what to do where it is not in order."""

    name: str
    state: Literal["ok", "warning", "failed"]
    said: str
    fix: str = ""


@click.command(epilog="\b\nExample:\n  ordertrace doctor --format json")
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def doctor(context: Context, output: str) -> None:
    """Check the configuration, the store, the ports, and what is known of each service.

    Exit code 1 where something failed; warnings alone exit 0.
    """
    checks = list(_checks(context))
    if output == "json":
        click.echo(json.dumps({"checks": [asdict(c) for c in checks]}, ensure_ascii=False, indent=2))
    else:
        console = output_console()
        for check in checks:
            console.print(f"{MARKS[check.state]} ", end="")
            console.print(f"{check.name}: {check.said}", markup=False)
            if check.fix:
                console.print(f"     -> {check.fix}", markup=False)
    if any(c.state == "failed" for c in checks):
        sys.exit(1)


def _checks(context: Context) -> Iterator[Check]:
    try:
        settings = context.settings
        catalogue = context.catalogue
    except ConfigError as error:
        yield Check("configuration", "failed", str(error), "mend the file; `ordertrace lint` shows each line")
        return
    where = settings.document.file if settings.document is not None else "defaults and environment"
    yield Check(
        "configuration",
        "ok",
        f"{where}: {len(catalogue.processes)} processes, {len(catalogue.playbooks)} playbooks",
    )
    try:
        with context.open_service() as service:
            for look in (_store, _engine, _kept_aside, _services):
                yield from look(service)
    except OrdertraceError as error:
        yield Check("store", "failed", str(error), "see docs/store.md")
    yield from _ports(settings)


def _store(service: Service) -> Iterator[Check]:
    where = store_place(service.settings)
    yield Check("store", "ok", f"{where}: {service.store.count_events()} events")


def _engine(service: Service) -> Iterator[Check]:
    checkpoint = service.store.checkpoint(CHECKPOINT)
    waiting = service.store.arrivals(checkpoint.value if checkpoint else "", 10_000).events
    if not waiting:
        yield Check("engine", "ok", "every event has been judged")
        return
    oldest = service.clock.now() - waiting[0].ingested
    count = f"{len(waiting)}{'+' if len(waiting) == 10_000 else ''}"
    late = oldest > 10 * service.settings.tick_interval
    yield Check(
        "engine",
        "warning" if late else "ok",
        f"{count} events wait to be judged, the oldest for {format_duration(oldest)}",
        "start `ordertrace serve`, or look into its log for a tick that fails" if late else "",
    )


def _kept_aside(service: Service) -> Iterator[Check]:
    reasons = service.store.count_kept_aside()
    said = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    if said:
        yield Check(
            "intake",
            "warning",
            f"records kept aside: {said}",
            "GET /api/v1/kept-aside shows them; docs/intake.md tells each reason",
        )
    else:
        yield Check("intake", "ok", "no record was kept aside")


def _services(service: Service) -> Iterator[Check]:
    presences = [v.value for v in service.store.presences()]
    known = Completeness(service.engine.rules.completeness, presences, service.clock.now())
    if not known.services():
        yield Check(
            "services",
            "warning",
            "no service has been heard of",
            "instrument one: docs/instrumentation.md; or `ordertrace ingest FILE`",
        )
    for name in known.services():
        yield _service(name, known)


def _service(name: str, known: Completeness) -> Check:
    last = known.last_record(name) or 0
    silence = max(known.now - last, 0)
    holes = [gap for gap in known.gaps(name) if gap[0] > 0 and gap[1] < FOREVER]
    at = format_instant(last, unit=NS)
    said = f"judged by {known.source(name)}, last record {at} ({format_duration(silence)} ago)"
    fix = ""
    if holes:
        start, end = (format_instant(edge, unit=NS) for edge in holes[-1])
        said += f", {len(holes)} gap{'s' if len(holes) > 1 else ''}, the last from {start} to {end}"
        fix = "what hangs on records of a gap stays unverified; after a crash of the service that is as it should be"
    if known.silent_since(name, SILENT_AFTER) is not None:
        fix = "its shim has fallen silent: is it running, does its transport reach us?"
    elif silence > LONG_AGO:
        fix = "nothing for over a day: does it still run, are its logs still shipped?"
    return Check(f"service {name}", "warning" if fix else "ok", said, fix)


def _ports(settings: Settings) -> Iterator[Check]:
    doors = (
        ("http", settings.host, settings.port),
        ("forward", settings.forward_host, settings.forward_port),
    )
    for name, host, port in doors:
        if not port:
            continue
        try:
            with socket.create_connection((host, port), timeout=1):
                yield Check(
                    f"{name} port", "ok", f"something answers on {host}:{port}: the service, if it is running"
                )
        except OSError:
            yield Check(f"{name} port", "ok", f"{host}:{port} is free")
