"""`ordertrace doctor`: is everything in order here, and if not, what to do."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Literal

import click

from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.senders.characters import one_line
from ordertrace_alerting.store import AlertStore
from ordertrace_alerting.vocabulary import Delivery
from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.output import output_console
from ordertrace_rules.clocks import known_differences
from ordertrace_rules.completeness import FOREVER, Completeness
from ordertrace_rules.errors import ConfigError, OrdertraceError, StoreUnavailable
from ordertrace_rules.probe import (
    SERVICE,
    ProbeLost,
    Stored,
    await_judged,
    await_stored,
    checkpoint_of,
    send_probe,
)
from ordertrace_rules.service import Service
from ordertrace_rules.settings import Settings
from ordertrace_rules.slices import CHECKPOINT
from ordertrace_rules.stores.elasticsearch.arrivals import Overlap
from ordertrace_rules.stores.elasticsearch.cluster import Cluster, connect
from ordertrace_rules.stores.opening import store_place
from ordertrace_rules.times import DAY, MINUTE, NS, format_duration, format_instant

SILENT_AFTER = 10 * MINUTE
LONG_AGO = DAY
SAMPLE = 200  # documents of a foreign index
RECENT = 1_000  # deliveries in which each receiver's latest is looked for
MARKS = {"ok": "[green]ok[/]  ", "warning": "[yellow]warn[/]", "failed": "[red]fail[/]"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `fix` says what to do where it is not in order."""

    name: str
    state: Literal["ok", "warning", "failed"]
    said: str
    fix: str = ""


@click.command(
    epilog="""\b
Examples:
  ordertrace doctor --format json
  ordertrace doctor --probe --via fluentd.example.com:24224
  ordertrace doctor --service app:app
"""
)
@click.option("--probe", is_flag=True, help="Send one record down the whole chain, and time each link.")
@click.option(
    "--via",
    metavar="HOST:PORT",
    help="Where the probe goes in: the Forward address of Fluentd; by default that of our own intake.",
)
@click.option(
    "--service",
    metavar="MODULE[:NAME]",
    help="Look at this service instead: what is instrumented in it, what is not and why, and one enriched record.",
)
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def doctor(context: Context, probe: bool, via: str | None, service: str | None, output: str) -> None:
    """Check the configuration, the store, the ports, and what is known of each service.

    With --probe also the chain: Forward, store, rules, chat. Exit code 1 where something failed; warnings alone
    exit 0.
    """
    if service is not None:
        if probe or via is not None:
            raise click.UsageError("--service looks at a service alone: leave out --probe and --via")
        sys.exit(_examine(service, output))
    if via is not None and not probe:
        raise click.UsageError("--via says where the probe goes in: give --probe too")
    door = None if via is None else _address(via)
    checks = list(_checks(context, probe, door))
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


def _examine(service: str, output: str) -> int:
    """In a process of its own: it imports the service's code, and hooks its libraries."""
    command = [sys.executable, "-m", "ordertrace_instrumentation.doctor", service, "--format", output]
    return subprocess.run(command, check=False).returncode


def _address(via: str) -> tuple[str, int]:
    host, _, port = via.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise click.BadParameter(f"{via!r} is not HOST:PORT, such as 127.0.0.1:24224", param_hint="--via")
    return host.strip("[]"), int(port)


def _checks(context: Context, probe: bool, door: tuple[str, int] | None) -> Iterator[Check]:
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
            for look in (_store, _engine, _kept_aside, _foreign_indices, _services, _clocks):
                yield from look(service)
            if probe:
                yield from _chain(service, door)
                with context.open_alerts() as alerts:
                    yield from _chat(settings, alerts)
    except OrdertraceError as error:
        yield Check("store", "failed", str(error), _way_out(settings, error))
    yield from _ports(settings)


def _way_out(settings: Settings, error: OrdertraceError) -> str:
    """What to do about a store that does not answer."""
    if settings.store == "elasticsearch" and getattr(error.__cause__, "status_code", None) == 400:
        with closing(connect(settings)) as client:
            try:
                Cluster(client, settings.es_namespace).ask(
                    client.info
                )  # a HEAD request has no reason in its answer
            except StoreUnavailable as reason:
                if "media_type_header_exception" in str(reason):
                    return (
                        "the Python client `elasticsearch` is newer than the server: "
                        "`pip install 'elasticsearch<9'` for a server of version 8"
                    )
    return "see docs/store.md"


def _chain(service: Service, door: tuple[str, int] | None) -> Iterator[Check]:
    """Send a record to `door` (our own where None), and say of each link how long it took, or what to do."""
    settings, store, clock = service.settings, service.store, service.clock
    links = ["probe forward", "probe store", "probe rules"]
    try:
        if settings.store == "memory":
            raise ProbeLost("the store is in memory, which no other program sees", "set store to another")
        if door is None and not settings.forward_port:
            raise ProbeLost("our own intake has no fixed Forward port", "name Fluentd's with --via HOST:PORT")
        host, port = door or (settings.forward_host, settings.forward_port or 0)
        before = checkpoint_of(store)
        own_cert = settings.forward_tls_cert if door is None else None
        sent = send_probe(host, port, settings.forward_shared_key, clock, own_cert)
        took = format_duration(sent.acknowledged_at - sent.at)
        yield Check(links.pop(0), "ok", f"{host}:{port} acknowledged the record after {took}")
        stored = await_stored(store, sent, clock)
        yield Check(links.pop(0), "ok", _stored(stored))
        if settings.store == "elasticsearch":
            yield _overlap(stored)
        limit = 3 * settings.tick_interval + 5 * NS
        judged_at = await_judged(store, stored.event, before, limit, clock)
        took = format_duration(judged_at - sent.at)
        yield Check(links.pop(0), "ok", f"a tick took it in, {took} after it was sent")
    except ProbeLost as error:
        yield Check(links.pop(0), "failed", str(error), error.fix)
        for name in links:
            yield Check(name, "warning", "not known: the record did not come so far", "mend the link before")


def _stored(stored: Stored) -> str:
    written, visible = (format_duration(at - stored.sent_at) for at in (stored.written_at, stored.visible_at))
    clocks = "the clocks agree as far as can be seen"
    if stored.skew:
        way = "ahead of" if stored.skew > 0 else "behind"
        clocks = f"its clock is at least {format_duration(abs(stored.skew))} {way} ours"
    return f"written after {written}, in a search after {visible}; {clocks}"


def _overlap(stored: Stored) -> Check:
    """Whether readings begin far enough back for what a search sees late, and for clocks that differ."""
    usual = Overlap().usual
    needed, has = format_duration(stored.to_cover), format_duration(usual)
    said = f"skew and the time until a search sees a record: {needed}; readings overlap by {has}"
    if stored.to_cover <= usual:
        return Check("probe overlap", "ok", said)
    return Check(
        "probe overlap",
        "warning",
        said,
        "set the clocks of the nodes by NTP and shorten index.refresh_interval: what is seen later than the "
        "overlap waits for the sweep of the last hour, every ten minutes",
    )


def _chat(settings: Settings, alerts: AlertStore) -> Iterator[Check]:
    """What became of the latest message to each receiver; nothing is sent."""
    latest: dict[str, Delivery] = {}
    for delivery in alerts.deliveries(limit=RECENT):
        latest.setdefault(delivery.target, delivery)
    for name in alerting_config(settings.alerting).receivers:
        attempt = f"`ordertrace alerts test {name}` sends a sample"
        delivery = latest.get(name)
        if delivery is None:
            yield Check(f"chat {name}", "warning", "nothing was ever sent", attempt)
            continue
        at = format_instant(delivery.finished_at or delivery.created_at, unit=NS)
        said = f": {one_line(delivery.detail)}" if delivery.detail else ""
        if delivery.state == "sent":
            yield Check(f"chat {name}", "ok", f"took the latest message at {at}{said}")
        elif delivery.state == "dead":
            again = f"; then `ordertrace alerts resend {delivery.key}`"
            yield Check(
                f"chat {name}", "failed", f"the latest message was given up at {at}{said}", attempt + again
            )
        else:
            tries = f"the latest message, of {at}, waits after {delivery.attempts} attempts{said}"
            yield Check(f"chat {name}", "warning" if delivery.attempts else "ok", tries, attempt)


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


def _foreign_indices(service: Service) -> Iterator[Check]:
    for reader in service.foreign_indices:
        name = f"index {reader.foreign.index}"
        try:
            look = reader.look(SAMPLE)
        except StoreUnavailable as error:
            fix = (
                "docs/foreign-indices.md lists the privileges; `index`, `time_field` and es_url must be right"
            )
            yield Check(name, "failed", str(error), fix)
            continue
        said = f"of the latest {look.documents} documents {look.of_orders} speak of an order"
        if look.refused:
            said += f", and {look.refused} cannot be read ({look.reason})"
        fix = ""
        if not look.documents:
            fix = "is the pattern right, and does each document have a date in `time_field`?"
        elif not look.of_orders:
            fix = "no rule of its mapping fits them: docs/mapping.md"
        yield Check(name, "warning" if fix or look.refused else "ok", said, fix)


def _services(service: Service) -> Iterator[Check]:
    presences = [v.value for v in service.store.presences()]
    known = Completeness(service.engine.rules.completeness, presences, service.clock.now())
    if not set(known.services()) - {SERVICE}:
        yield Check(
            "services",
            "warning",
            "no service has been heard of",
            "instrument one: docs/instrumentation.md; or `ordertrace ingest FILE`",
        )
    for name in known.services():
        if name == SERVICE:
            continue  # our own probes
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


def _clocks(service: Service) -> Iterator[Check]:
    """What causes and effects of the last day tell of the services' clocks."""
    for known in known_differences(service.store, service.clock.now()):
        least = format_duration(known.least)
        most = f" and at most {format_duration(known.most)}" if known.most is not None else ""
        yield Check(
            f"clock {known.behind}",
            "warning",
            f"behind that of {known.ahead} by at least {least}{most}: {known.k} of {known.n} orders show an effect "
            "before its cause",
            "set the clocks by NTP, and look for times that are written without their offset: docs/diagnosis.md",
        )


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
