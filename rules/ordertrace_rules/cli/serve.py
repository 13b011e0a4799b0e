"""`ordertrace serve`: the rules service, with its intake, its schedule, its pages and its deliveries."""

import errno
import json
import logging
import signal
import socket
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from ssl import SSLContext

import click
from waitress.server import create_server

from ordertrace_rules.cli.context import Context
from ordertrace_rules.engine import TickReport
from ordertrace_rules.errors import OrdertraceError
from ordertrace_rules.intake.foreign_index import ForeignIndexReader
from ordertrace_rules.intake.forward import ForwardServer, tls_context
from ordertrace_rules.intake.tail import FileTail
from ordertrace_rules.scheduler import LEASES, Lease, Scheduler
from ordertrace_rules.service import Service, open_service
from ordertrace_rules.settings import Settings
from ordertrace_rules.slices import Share
from ordertrace_rules.spans.export import CHECKPOINT as SPANS
from ordertrace_rules.spans.export import SpanExport
from ordertrace_rules.stores.elasticsearch.store import ElasticsearchStore
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.times import NS
from ordertrace_rules.web.app import create_app

WEB_THREADS = 8
WEB_CONNECTIONS = 1_000  # idle tabs and scrapers hold theirs; a thread is busy only for a request
ALERT_INTERVAL = 0.5  # seconds
RETENTION_INTERVAL = 3600.0  # seconds
LEAST_LEASE = 10.0  # seconds after which a standby takes over from a worker that fell silent
log = logging.getLogger("ordertrace")


@click.command(
    epilog="""\b
Examples:
  ordertrace serve
  ORDERTRACE_TOKEN=secret ordertrace serve --host 0.0.0.0 --port 8321
"""
)
@click.option("--host", help="Listen here instead of where the configuration says.")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes a free port.")
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help='Write {"http": …, "forward": …} there once everything listens.',
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.pass_obj
def serve(
    context: Context, host: str | None, port: int | None, ready_file: Path | None, log_level: str
) -> None:
    """Run the rules service until it is stopped (Ctrl-C or SIGTERM)."""
    log_to_terminal(log_level)
    settings = context.settings_with(host=host, port=port)
    stop = stopped_by_signal()
    listener = _listen(settings.host, settings.port)
    settings = _with_real_port(settings, listener)
    with open_service(settings) as service, _running(service, listener) as addresses:
        click.echo(
            f"ordertrace listens on {addresses['http']}, Forward on {addresses['forward'] or 'nothing'}"
        )
        if ready_file is not None:
            _write_whole(ready_file, json.dumps(addresses))
        stop.wait()
        log.info("stopping: what is under way is finished first")


def log_to_terminal(level: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("elastic_transport").setLevel(logging.WARNING)  # it tells of every request


def stopped_by_signal() -> threading.Event:
    """What Ctrl-C and SIGTERM set."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop


@contextmanager
def _running(service: Service, listener: socket.socket) -> Generator[dict[str, str]]:
    """Start the threads, in the order in which they need each other; stop them in the reverse."""
    settings = service.settings
    with ExitStack() as stack:
        web = create_server(
            create_app(service),
            sockets=[listener],
            threads=WEB_THREADS,
            connection_limit=WEB_CONNECTIONS,
            clear_untrusted_proxy_headers=True,
        )
        stack.callback(web.close)
        start_schedules(service, stack)
        forward = _start_forward(service, stack)
        for tailed in settings.tail:
            mapping = service.intake.mappings.name_of(tailed.mapping) if tailed.mapping else None
            tail = FileTail(
                tailed.path, service.intake, service.store, mapping=mapping, service=tailed.service
            )
            tail.start()
            stack.callback(tail.stop)
        threading.Thread(target=web.run, name="ordertrace-web", daemon=True).start()
        yield {"http": settings.public_url, "forward": forward}


def start_schedules(service: Service, stack: ExitStack) -> None:
    """Deliveries, ticks and retention, each in a thread of its own, until the stack is left."""
    interval = service.settings.tick_interval / NS
    deliveries = Scheduler(lambda: _deliver(service), None, ALERT_INTERVAL, service.alert_pulse)
    lease = Lease(service.store, max(LEAST_LEASE, 3 * interval), slices=service.settings.slices)

    def tick() -> TickReport:
        return service.tick(Share(lease.slices, lease.own))

    ticks = Scheduler(tick, lease, interval, service.pulse)
    retention = Scheduler(lambda: _expire(service), None, RETENTION_INTERVAL)
    for scheduler in (
        deliveries,
        ticks,
        retention,
        *(_following(service, each) for each in service.foreign_indices),
        *([_exporting(service, service.spans)] if service.spans is not None else []),
    ):
        scheduler.start()
        stack.callback(scheduler.stop)
    if service.spans is not None:
        stack.callback(
            service.spans.close
        )  # first of all: what is being sent to a silent endpoint is not waited for


def _following(service: Service, reader: ForeignIndexReader) -> Scheduler:
    """Reads a foreign index for as long as it answers; of several programs one does."""

    def follow() -> TickReport:
        accepted, more = reader.poll()
        return TickReport(events=accepted.new, more=more)

    interval = service.settings.tick_interval / NS
    lease = Lease(service.store, max(LEAST_LEASE, 3 * interval), name=LEASES + reader.name)
    return Scheduler(follow, lease, interval, what=f"reading {reader.foreign.index}")


def _exporting(service: Service, spans: SpanExport) -> Scheduler:
    """Exports journeys as spans, of several programs one: in a thread of its own, so that no tick waits for it."""

    def export() -> TickReport:
        return TickReport(more=spans.poll())

    interval = service.settings.tick_interval / NS
    lease = Lease(service.store, max(LEAST_LEASE, 3 * interval), name=LEASES + SPANS)
    return Scheduler(export, lease, interval, service.span_pulse, what="exporting spans")


def _start_forward(service: Service, stack: ExitStack) -> str:
    settings = service.settings
    if settings.forward_port is None:
        return ""
    server = ForwardServer(
        service.intake,
        settings.forward_host,
        settings.forward_port,
        settings.forward_shared_key,
        tls=_forward_tls(settings),
    )
    try:
        server.start()
    except OSError as error:
        raise OrdertraceError(
            f"cannot listen for Forward on {settings.forward_host}:{settings.forward_port} ({error.strerror}); "
            "set forward_port (ORDERTRACE_FORWARD_PORT) to another port, to 0 for a free one, or to null for none"
        ) from None
    stack.callback(server.stop)
    return f"{settings.forward_host}:{server.port}"


def _forward_tls(settings: Settings) -> SSLContext | None:
    if settings.forward_tls_cert is None:
        return None
    try:
        return tls_context(
            settings.forward_tls_cert, settings.forward_tls_key, settings.forward_tls_authority
        )
    except OSError as error:
        raise OrdertraceError(
            f"Forward cannot be spoken under TLS with {settings.forward_tls_cert} ({error.strerror or error}); "
            "forward_tls_cert, forward_tls_key and forward_tls_authority have to name PEM files that belong together"
        ) from None


def _expire(service: Service) -> TickReport:
    """Forget orders that ended long ago; memory does not last so long."""
    if isinstance(service.store, SqliteStore | ElasticsearchStore):
        deleted = service.store.expire(service.clock.now() - service.settings.retention)
        if deleted:
            what = "events" if isinstance(service.store, SqliteStore) else "journeys"
            log.info("%d %s of orders that ended long ago were deleted (setting: retention)", deleted, what)
    return TickReport()


def _deliver(service: Service) -> TickReport:
    service.alerts.tick()
    return TickReport()


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else is opened, so that a second service changes nothing."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = "is another ordertrace running? Choose another port with --port, 0 for a free one"
        elif error.errno == errno.EACCES:
            why = "ports below 1024 are the system's: choose another with --port"
        else:
            why = "give an address of this machine with --host"
        raise OrdertraceError(f"cannot listen on {host}:{port} ({error.strerror}); {why}") from None
    return listener


def _with_real_port(settings: Settings, listener: socket.socket) -> Settings:
    """Port 0 becomes the port that the system gave, in the addresses that guides and messages show too."""
    if settings.port != 0:
        return settings
    port: int = listener.getsockname()[1]
    public_url = (
        settings.public_url.removesuffix(":0") + f":{port}"
        if settings.public_url.endswith(":0")
        else settings.public_url
    )
    return replace(settings, port=port, public_url=public_url)


def _write_whole(path: Path, text: str) -> None:
    """The file appears with all of its content or not at all."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
