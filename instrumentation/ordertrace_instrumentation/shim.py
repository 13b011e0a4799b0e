"""The shim of this process: its settings, its instance, its transports, its heartbeat. One, made anew after a fork."""

import atexit
import importlib
import itertools
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import util as multiprocessing_util
from pathlib import Path
from typing import Any

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.losses import Losses
from ordertrace_instrumentation.record import Record, rfc3339, safe_text
from ordertrace_instrumentation.settings import Settings, Target, read_settings
from ordertrace_instrumentation.transports.access import Access
from ordertrace_instrumentation.transports.courier import CourierTransport
from ordertrace_instrumentation.transports.forward import ForwardCarrier
from ordertrace_instrumentation.transports.lines import LineTransport
from ordertrace_instrumentation.transports.memory import MemoryQueue
from ordertrace_instrumentation.transports.orphans import Home
from ordertrace_instrumentation.transports.spool import Spool
from ordertrace_instrumentation.transports.vocabulary import Carrier, Transport

SHUTDOWN_TIMEOUT = 2.0  # seconds that the end of a process may wait for its last records


class Shim:
    """One instance of the service, from `configure` (or the first use after a fork) to `shutdown`."""

    def __init__(self, settings: Settings, clock: Callable[[], int] = time.time_ns) -> None:
        self.settings = settings
        self.clock = clock
        self.instance = uuid.uuid4().hex
        self.losses = Losses()
        self._numbers = itertools.count(1)
        self._privacy = None if settings.privacy.is_default else settings.privacy
        self.transports = _open_all(settings, self.instance)
        self._stopped = threading.Event()
        if self.transports:
            self.beat("start")
            try:
                threading.Thread(target=self._run_heart, name="ordertrace-heartbeat", daemon=True).start()
            except RuntimeError as error:  # the interpreter is ending, or the system has no thread left
                complain_once(f"there will be no heartbeats: {error}")

    @property
    def closed(self) -> bool:
        return self._stopped.is_set()

    def new_record(self, instant: int) -> Record:
        """A record with a new `event.id`: unique over all processes, without asking the system for randomness."""
        return {
            ecs.TIMESTAMP: rfc3339(instant),
            ecs.EVENT_ID: f"{self.instance}-{next(self._numbers):x}",
            ecs.SERVICE_NAME: self.settings.service,
            ecs.SERVICE_INSTANCE_ID: self.instance,
        }

    def ship(self, record: Record, instant: int) -> None:
        """Hand the record to every transport. Never raises; what fails is counted."""
        if self._stopped.is_set():
            self.losses.count("after_shutdown")
            return
        if not self.transports:
            self.losses.count("no_transport")
            complain_once("no transport is set, so records go nowhere: set ORDERTRACE_TRANSPORT")
            return
        if self._privacy is not None:
            try:
                record = self._privacy.applied(record)
            except Exception as error:  # noqa: BLE001 - then it does not leave
                self.losses.count("record_failed")
                complain_once(f"a record was held back: {safe_text(error)}")
                return
        for transport in self.transports:
            try:
                transport.ship(record, instant)
            except Exception as error:  # noqa: BLE001 - nothing of ours reaches business code
                transport.losses.count("ship_failed")
                complain_once(f"a record could not be shipped: {safe_text(error)}")

    def beat(self, phase: str) -> None:
        """Ship a heartbeat through each transport, with what was lost before it and in it."""
        for transport in self.transports:
            instant = self.clock()
            record = self.new_record(instant)
            record[ecs.EVENT_KIND] = "metric"
            record[ecs.EVENT_ACTION] = ecs.HEARTBEAT
            record[ecs.HEARTBEAT_INTERVAL] = self.settings.heartbeat_interval
            record[ecs.HEARTBEAT_PHASE] = phase
            for reason, count in _sum(self.losses, transport.losses).items():
                record[ecs.LOST + reason] = count
            try:
                transport.ship(record, instant)
            except Exception as error:  # noqa: BLE001
                complain_once(f"a heartbeat could not be shipped: {safe_text(error)}")

    def lost(self) -> dict[str, int]:
        """Records lost since the instance began, by reason, over all transports."""
        return _sum(self.losses, *(transport.losses for transport in self.transports))

    def close(self, timeout: float) -> None:
        """Say goodbye and deliver what is left within `timeout` seconds."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self.beat("goodbye")
        deadline = time.monotonic() + timeout
        for transport in self.transports:
            try:
                transport.close(max(0.0, deadline - time.monotonic()))
            except Exception as error:  # noqa: BLE001
                complain_once(f"a transport could not be closed: {safe_text(error)}")

    def abandon(self) -> None:
        """In a forked child: let go of everything without a word."""
        self._stopped = threading.Event()  # the parent's may have been locked at the fork
        self._stopped.set()
        for transport in self.transports:
            try:
                transport.abandon()
            except Exception as error:  # noqa: BLE001
                complain_once(f"a transport could not be abandoned: {safe_text(error)}")

    def _run_heart(self) -> None:
        while not self._stopped.wait(self.settings.heartbeat_interval):
            self.beat("alive")


def _sum(*parts: Losses) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for reason, count in part.snapshot().items():
            total[reason] = total.get(reason, 0) + count
    return total


# --- transports ------------------------------------------------------------------------------------------


def _open_all(settings: Settings, instance: str) -> tuple[Transport, ...]:
    transports: list[Transport] = []
    roles = _roles(settings.transport)
    for target in settings.transport:
        try:
            home = None
            if settings.spool_dir is not None and target in roles:
                home = Home(settings.spool_dir, settings.service, roles[target], tuple(roles.values()))
            transports.append(_open(target, settings, instance, home))
        except Exception as error:  # noqa: BLE001 - a transport that cannot be had doesn't stop the service
            complain_once(f"the transport {target.kind} {target.place} cannot be used: {safe_text(error)}")
    return tuple(transports)


def _roles(targets: Sequence[Target]) -> Mapping[Target, str]:
    """What each target that queues is to the service, whatever its address: `forward`, `forward-2`, …"""
    roles: dict[Target, str] = {}
    for target in targets:
        if target.kind not in ("stdout", "file"):
            same = sum(other.kind == target.kind for other in roles)
            roles[target] = f"{target.kind}-{same + 1}" if same else target.kind
    return roles


def _open(target: Target, settings: Settings, instance: str, home: Home | None) -> Transport:
    if target.kind in ("stdout", "file"):
        return LineTransport(Path(target.place) if target.kind == "file" else None)
    name = f"{target.kind} {target.place}".strip()
    carrier = _carrier(target, settings)
    if home is not None:
        losses = Losses()
        try:
            spool = Spool(
                home.folder / instance,
                settings.spool_max_bytes,
                settings.spool_full,
                lambda records: losses.count("spool_dropped", records),
            )
            return CourierTransport(spool, carrier, name, home.adopt, losses)
        except OSError as error:
            complain_once(f"the spool in {home.folder} cannot be used, records wait in memory: {error}")
    return CourierTransport(MemoryQueue(settings.queue_max_records), carrier, name)


def _carrier(target: Target, settings: Settings) -> Carrier:
    if target.kind == "forward":
        access = Access(
            tls=target.tls,
            ca_file=settings.forward_ca_file,
            cert_file=settings.forward_cert_file,
            key_file=settings.forward_key_file,
            server_name=settings.forward_server_name,
            shared_key=settings.forward_shared_key,
            user=settings.forward_user,
            password=settings.forward_password,
        )
        return ForwardCarrier(target.addresses, f"ordertrace.{settings.service}", access)
    # Loaded by name: the OpenTelemetry SDK is there only with the extra.
    try:
        otlp = importlib.import_module("ordertrace_instrumentation.transports.otlp")
    except ImportError as error:
        raise RuntimeError(f"pip install 'ordertrace[otlp]' brings what is missing ({error})") from error
    return otlp.OtlpCarrier()


# --- the one of this process -----------------------------------------------------------------------------


class _Process:
    """Holds the process's shim, and the settings from which a forked child makes its own."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.settings: Settings | None = None
        self.shim: Shim | None = None
        self.hooked = 0  # the pid whose end is hooked


_process = _Process()


def current_shim() -> Shim:
    """The shim of this process; made from the environment if `configure` was never called."""
    shim = _process.shim
    if shim is not None:
        return shim
    with _process.lock:
        if _process.shim is None:
            if _process.settings is None:
                _process.settings = _read({})
            _process.shim = Shim(_process.settings)
            _hook_end()
        return _process.shim


def configure_shim(arguments: Mapping[str, object]) -> Shim:
    """Read the settings; the same settings again change nothing, others begin a new instance."""
    with _process.lock:
        settings = _read(arguments)
        if _process.shim is None or _process.shim.closed or settings != _process.settings:
            if _process.shim is not None:
                _process.shim.close(SHUTDOWN_TIMEOUT)
            _process.settings = settings
            _process.shim = None
        return current_shim()


def replace_shim(shim: Shim | None) -> None:
    """Put another shim in place, without closing the one before: for benchmarks and tests."""
    with _process.lock:
        _process.settings = shim.settings if shim is not None else None
        _process.shim = shim


def shutdown(timeout: float = SHUTDOWN_TIMEOUT) -> None:
    """Say goodbye and deliver what is left within `timeout` seconds. The end of the process does this by itself."""
    with _process.lock:
        if _process.shim is not None:
            _process.shim.close(timeout)


def _read(arguments: Mapping[str, object]) -> Settings:
    settings, problems = read_settings(arguments)
    for problem in problems:
        complain_once(problem)
    return settings


def _hook_end() -> None:
    if _process.hooked == os.getpid():
        return
    _process.hooked = os.getpid()
    atexit.register(shutdown)
    # A child of multiprocessing leaves by os._exit, past atexit; this is its own way of saying so.
    finalize: Any = multiprocessing_util.Finalize
    finalize(None, shutdown, exitpriority=10)


def _after_fork_in_child() -> None:
    """Only let go. The new instance begins with its first record, so a child that at once becomes another
    program leaves no trace."""
    _process.lock = threading.RLock()
    shim, _process.shim = _process.shim, None
    if shim is not None:
        shim.abandon()


os.register_at_fork(after_in_child=_after_fork_in_child)
