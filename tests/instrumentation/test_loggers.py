"""Loggers that a service already has keep their format and gain the order's fields."""

import copy
import io
import json
import logging
import logging.handlers
import pickle
import queue
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import ecs_logging
import pytest
import structlog
from fluent.handler import FluentHandler, FluentRecordFormatter
from loguru import logger as loguru_logger
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from pythonjsonlogger.json import JsonFormatter

from ordertrace_instrumentation import (
    OrderFilter,
    configure,
    link,
    loguru_patcher,
    order,
    order_trace_id,
)
from ordertrace_instrumentation.loggers import ecs_logging as ours_for_ecs
from ordertrace_instrumentation.loggers import fluent as ours_for_fluent
from ordertrace_instrumentation.loggers import json_logger as ours_for_json
from ordertrace_instrumentation.loggers import loguru as ours_for_loguru
from ordertrace_instrumentation.loggers import stdlib as ours_for_stdlib
from ordertrace_instrumentation.loggers import structlog as ours_for_structlog

ALL: list[ModuleType] = [
    ours_for_stdlib,
    ours_for_structlog,
    ours_for_loguru,
    ours_for_ecs,
    ours_for_json,
    ours_for_fluent,
]
SPAN = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1))


@pytest.fixture(autouse=True)
def instrumented() -> Iterator[None]:
    for module in ALL:
        module.instrument()
        module.instrument()
    yield
    for module in ALL:
        module.uninstrument()
        module.uninstrument()


class Service:
    def __init__(self, formatter: logging.Formatter) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(formatter)
        self.log = logging.Logger("shop.checkout")
        self.log.addHandler(self.handler)

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def structlog_lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.PrintLoggerFactory(stream)
    )
    yield stream
    structlog.reset_defaults()


@pytest.fixture
def loguru_lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    loguru_logger.configure(
        handlers=[{"sink": stream, "format": "[{extra[order_id]}] {message}", "catch": False}]
    )
    yield stream
    loguru_logger.configure(handlers=[{"sink": sys.stderr}], patcher=lambda record: None)


def plain(service: Service) -> None:
    service.log.info("nobody's", extra={"sku": "A-1"})
    with order("SO-1"):
        service.log.info("its", extra={"sku": "A-1"})


# --- the standard library --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("style", "form"),
    [("%", "%(order_id)s|%(message)s"), ("{", "{order_id}|{message}"), ("$", "${order_id}|${message}")],
)
def test_a_format_of_any_style_names_the_order_without_a_filter(style: Any, form: str) -> None:
    service = Service(logging.Formatter(form, style=style))
    plain(service)
    assert service.stream.getvalue().splitlines() == ["|nobody's", "SO-1|its"]


def test_a_record_that_passes_no_logger_and_no_filter_is_formatted_all_the_same() -> None:
    service = Service(logging.Formatter("%(order_id)s|%(order_trace_id)s|%(message)s"))
    service.handler.handle(logging.makeLogRecord({"msg": "from elsewhere"}))
    assert service.stream.getvalue() == "||from elsewhere\n"


@pytest.mark.parametrize("name", ["order_id", "trace_id", "span_id", "order_trace_id", "order_stage"])
def test_a_service_may_use_the_fields_names_in_extra(name: str) -> None:
    """Were records stamped where they are made, this would be a KeyError in the service's code."""
    service = Service(logging.Formatter(f"%({name})s"))
    with order("SO-1"):
        service.log.info("x", extra={name: "theirs"})
    assert service.stream.getvalue() == "theirs\n"


def test_a_record_factory_of_the_service_stays_in_place() -> None:
    factory = logging.getLogRecordFactory()
    ours_for_stdlib.instrument()
    assert logging.getLogRecordFactory() is factory


def test_the_order_is_stamped_in_the_thread_of_the_log_call_with_no_filter_on_the_queue_handler() -> None:
    service = Service(logging.Formatter("%(order_id)s|%(message)s"))
    records: queue.SimpleQueue[Any] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(records, service.handler)
    service.log.handlers = [logging.handlers.QueueHandler(records)]
    with order("SO-1"):
        service.log.info("paid")
    with order("SO-2"):  # whatever is bound where the listener is started from
        listener.start()
        listener.stop()
    assert service.stream.getvalue() == "SO-1|paid\n"


def test_a_stamped_record_can_be_read_by_a_process_without_ordertrace() -> None:
    seen: list[logging.LogRecord] = []
    service = Service(logging.Formatter())
    service.handler.addFilter(lambda record: seen.append(record) or True)
    with order("SO-1"):
        service.log.info("x")
    sent = pickle.dumps(copy.copy(seen[0]).__dict__)
    assert b"ordertrace_instrumentation" not in sent
    assert pickle.loads(sent)["order_id"] == "SO-1"


def test_uninstrumented_records_are_as_they_were() -> None:
    for module in ALL:
        module.uninstrument()
    seen: list[logging.LogRecord] = []
    service = Service(logging.Formatter("%(message)s"))
    service.handler.addFilter(lambda record: seen.append(record) or True)
    with order("SO-1"):
        service.log.info("x")
    assert not [name for name in seen[0].__dict__ if "order" in name or "trace" in name]


# --- JSON formatters -------------------------------------------------------------------------------------


def test_ecs_logging_documents_gain_ecs_fields_and_nothing_else() -> None:
    service, before = Service(ecs_logging.StdlibFormatter()), Service(ecs_logging.StdlibFormatter())
    plain(service)
    for module in ALL:
        module.uninstrument()
    plain(before)
    nobodys, its = service.documents
    assert nobodys.keys() == before.documents[0].keys()
    assert set(its) - set(before.documents[1]) == {"order", "trace", "event"}
    assert its["order"] == {"id": "SO-1", "trace_id": order_trace_id("SO-1")}
    assert its["trace"]["id"] == order_trace_id("SO-1")
    assert its["sku"] == "A-1"


def test_ecs_logging_leaves_out_what_the_service_excluded_and_keeps_what_it_set() -> None:
    service = Service(ecs_logging.StdlibFormatter(exclude_fields=["trace", "event"]))
    with order("SO-1"):
        service.log.info("x", extra={"order_id": "theirs", "order": {"channel": "app"}})
    (document,) = service.documents
    assert "trace" not in document and "event" not in document
    assert document["order_id"] == "theirs"
    assert (document["order"]["channel"], document["order"]["id"]) == ("app", "theirs")


def test_python_json_logger_documents_gain_fields_and_nothing_else() -> None:
    service, before = Service(JsonFormatter("%(message)s")), Service(JsonFormatter("%(message)s"))
    plain(service)
    for module in ALL:
        module.uninstrument()
    plain(before)
    nobodys, its = service.documents
    assert nobodys == before.documents[0] == {"message": "nobody's", "sku": "A-1"}
    assert set(its) == {"message", "sku", "order.id", "order.trace_id", "trace.id", "event.id"}
    assert (its["order.id"], its["order.trace_id"]) == ("SO-1", order_trace_id("SO-1"))


def test_python_json_logger_writes_what_its_format_names() -> None:
    service = Service(JsonFormatter("%(message)s %(order_id)s"))
    plain(service)
    assert [d["order_id"] for d in service.documents] == ["", "SO-1"]


def test_json_formatters_carry_the_real_span_beside_the_order() -> None:
    services = [Service(JsonFormatter()), Service(ecs_logging.StdlibFormatter())]
    for service in services:
        with trace.use_span(NonRecordingSpan(SPAN)), order("SO-1"):
            link(payment_id="P-7")
            service.log.info("x")
    flat, nested = (service.documents[0] for service in services)
    assert (flat["trace.id"], flat["span.id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")
    assert (nested["trace"]["id"], nested["span"]["id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")
    assert flat["order.trace_id"] == nested["order"]["trace_id"] == order_trace_id("SO-1")
    assert flat["order.refs.payment_id"] == nested["order"]["refs"]["payment_id"] == "P-7"


# --- fluent-logger ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formatter", "own"),
    [
        (FluentRecordFormatter({"where": "%(module)s"}), {"where", "message"}),
        (FluentRecordFormatter({"no": "%(order_id)s"}), {"no", "message"}),
        (FluentRecordFormatter(exclude_attrs=set(logging.makeLogRecord({}).__dict__)), None),
    ],
    ids=["own format", "a format that names ours", "all attributes"],
)
def test_a_fluent_handler_sends_the_orders_fields_beside_its_own(
    formatter: FluentRecordFormatter, own: set[str] | None, receiver: Any, eventually: Any
) -> None:
    handler = FluentHandler("shop.log", host="127.0.0.1", port=receiver.port)
    handler.setFormatter(formatter)
    service = Service(logging.Formatter())
    service.log.handlers = [handler]
    plain(service)
    eventually(lambda: len(receiver.records) == 2)
    handler.close()
    nobodys, its = receiver.records
    assert own is None or set(nobodys) == own
    assert not {"order_id", "ordertrace_fields"} & (set(nobodys) | set(its))
    assert set(its) - set(nobodys) == {"order.id", "order.trace_id", "trace.id", "event.id"}
    assert its["order.id"] == "SO-1"


# --- structlog -------------------------------------------------------------------------------------------


def test_structlog_events_gain_fields_however_it_is_configured(structlog_lines: io.StringIO) -> None:
    log = structlog.get_logger().bind(sku="A-1")
    log.info("nobody's")
    with order("SO-1"):
        log.info("its")
    nobodys, its = (json.loads(line) for line in structlog_lines.getvalue().splitlines())
    assert set(nobodys) == {"event", "sku", "event.id"}
    assert (its["order_id"], its["order_trace_id"]) == ("SO-1", order_trace_id("SO-1"))


def test_structlogs_own_capture_for_tests_sees_loggers_made_before(structlog_lines: io.StringIO) -> None:
    log = structlog.get_logger().bind()
    with structlog.testing.capture_logs() as seen, order("SO-1"):
        log.info("captured")
    assert [(e["event"], e["order_id"]) for e in seen] == [("captured", "SO-1")]


def test_a_processor_that_the_service_put_itself_runs_once(tmp_path: Path) -> None:
    from ordertrace_instrumentation import structlog_processor

    path = tmp_path / "records.log"
    configure("shop", transport=f"file:{path}", capture_logging=True)
    structlog.configure(
        processors=[structlog_processor, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(io.StringIO()),
    )
    structlog.get_logger().info("once")
    structlog.reset_defaults()
    assert path.read_text().count('"message":"once"') == 1


# --- loguru ----------------------------------------------------------------------------------------------


def test_a_loguru_format_names_the_order_and_is_empty_where_none_is_bound(loguru_lines: io.StringIO) -> None:
    loguru_logger.info("nobody's")
    with order("SO-1"):
        loguru_logger.info("its")
    assert loguru_lines.getvalue().splitlines() == ["[] nobody's", "[SO-1] its"]


def test_a_loguru_patcher_of_the_service_stays_and_has_the_last_word(loguru_lines: io.StringIO) -> None:
    seen: list[Any] = []
    loguru_logger.configure(patcher=lambda record: seen.append(dict(record["extra"])))
    with order("SO-1"):
        loguru_logger.bind(sku="A-1").info("x")
    assert (seen[0]["order_id"], seen[0]["sku"]) == ("SO-1", "A-1")


def test_without_zero_code_the_patcher_alone_does_it() -> None:
    ours_for_loguru.uninstrument()
    stream = io.StringIO()
    loguru_logger.configure(
        handlers=[{"sink": stream, "format": "{extra[order_id]} {message}"}], patcher=loguru_patcher
    )
    with order("SO-1"):
        loguru_logger.info("x")
    loguru_logger.configure(handlers=[{"sink": sys.stderr}], patcher=lambda record: None)
    assert stream.getvalue() == "SO-1 x\n"


def records_of(path: Path) -> list[dict[str, Any]]:
    return [r for r in map(json.loads, path.read_text().splitlines()) if r.get("event.action") != "heartbeat"]


def test_loguru_records_are_shipped_whatever_sinks_there_are(
    tmp_path: Path, loguru_lines: io.StringIO
) -> None:
    path = tmp_path / "records.log"
    configure("shop", transport=f"file:{path}", capture_logging=True)
    loguru_logger.remove()
    loguru_logger.add(io.StringIO())
    with order("SO-1"):
        loguru_logger.bind(payment_id="P-7").success("paid {}", "now")
        loguru_logger.debug("not at INFO")
        try:
            raise ValueError("stock is gone")
        except ValueError:
            loguru_logger.exception("failed")
    paid, failed = records_of(path)
    assert (paid["message"], paid["order.id"], paid["order.refs.payment_id"]) == ("paid now", "SO-1", "P-7")
    assert (paid["log.level"], failed["log.level"]) == ("info", "error")
    assert (failed["error.type"], failed["error.message"]) == ("ValueError", "stock is gone")


def test_a_record_that_goes_from_the_standard_library_to_loguru_is_shipped_once(
    tmp_path: Path, loguru_lines: io.StringIO
) -> None:
    path = tmp_path / "records.log"
    configure("shop", transport=f"file:{path}", capture_logging=True)

    class Intercept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            loguru_logger.opt(depth=6).log(record.levelname, record.getMessage())

    service = Service(logging.Formatter())
    service.log.handlers = [Intercept()]
    with order("SO-1"):
        service.log.info("paid")
    assert loguru_lines.getvalue() == "[SO-1] paid\n"
    assert [r["message"] for r in records_of(path)] == ["paid"]


def test_a_record_that_goes_from_loguru_to_the_standard_library_is_shipped_once(
    tmp_path: Path, loguru_lines: io.StringIO
) -> None:
    path = tmp_path / "records.log"
    configure("shop", transport=f"file:{path}", capture_logging=True)

    class Propagate(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logging.Logger("from.loguru").handle(record)

    loguru_logger.add(Propagate(), format="{message}")
    with order("SO-1"):
        loguru_logger.info("paid")
    assert [r["message"] for r in records_of(path)] == ["paid"]


def test_a_filter_of_ours_beside_the_hooks_does_no_harm() -> None:
    service = Service(logging.Formatter("%(order_id)s|%(message)s"))
    service.handler.addFilter(OrderFilter())
    plain(service)
    assert service.stream.getvalue().splitlines() == ["|nobody's", "SO-1|its"]
