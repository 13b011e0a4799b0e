"""What becomes of the log calls that a service already makes."""

import asyncio
import io
import json
import logging
import logging.config
import logging.handlers
import queue
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from fluent.handler import FluentHandler, FluentRecordFormatter
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from ordertrace_instrumentation import (
    EcsFormatter,
    OrderFilter,
    OrderFormatter,
    OrderHandler,
    configure,
    event,
    order,
    order_trace_id,
    shim,
    structlog_processor,
)

SPAN = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1))


class Service:
    """A logger with one handler that writes to `text`."""

    def __init__(self, formatter: logging.Formatter, *filters: logging.Filter) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(formatter)
        for one in filters:
            self.handler.addFilter(one)
        self.log = logging.getLogger("shop.checkout")
        self.log.setLevel(logging.DEBUG)
        self.log.propagate = False
        self.log.handlers = [self.handler]

    @property
    def text(self) -> str:
        return self.stream.getvalue()


@pytest.fixture(autouse=True)
def clean_loggers() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers = handlers
    log = logging.getLogger("shop.checkout")
    log.handlers, log.propagate, log.level = [], True, logging.NOTSET
    structlog.reset_defaults()


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def test_a_format_string_may_use_the_orders_fields_and_they_are_empty_where_none_is_bound() -> None:
    form = "%(order_id)s|%(order_trace_id)s|%(trace_id)s|%(span_id)s|%(order_stage)s|%(message)s"
    service = Service(logging.Formatter(form), OrderFilter())
    service.log.info("nobody's")
    with order("SO-1"):
        service.log.info("its")
    own = order_trace_id("SO-1")
    assert service.text.splitlines() == ["|||||nobody's", f"SO-1|{own}|{own}|||its"]


def test_an_active_span_keeps_its_trace_id_beside_the_orders() -> None:
    service = Service(OrderFormatter("%(order_trace_id)s %(trace_id)s %(span_id)s"))
    with trace.use_span(NonRecordingSpan(SPAN)), order("SO-1"):
        service.log.info("x")
    assert service.text.split() == [order_trace_id("SO-1"), f"{0xABC:032x}", f"{0xDEF:016x}"]


@pytest.mark.parametrize("attribute", ["otelTraceID", "elasticapm_trace_id", "dd.trace_id"])
def test_the_trace_id_that_another_agent_put_on_the_record_survives(attribute: str) -> None:
    service = Service(OrderFormatter("%(trace_id)s"))
    with order("SO-1"):
        service.log.info("x", extra={attribute: "f" * 32})
    assert service.text.strip() == "f" * 32


def test_what_a_service_set_on_the_record_itself_stays() -> None:
    service = Service(OrderFormatter("%(order_id)s"))
    with order("SO-1"):
        service.log.info("x", extra={"order_id": "SO-2"})
    assert service.text.strip() == "SO-2"


@pytest.mark.parametrize(
    ("patterns", "said", "extra", "expected"),
    [
        (r"SO-\d+", "order SO-12 paid", {}, "SO-12"),
        (r"order (\w+)", "order A7 paid", {}, "A7"),
        (r"(x)?no=(?P<order_id>\d+)", "no=99", {}, "99"),
        ('["PO-[0-9]+", "SO-[0-9]+"]', "see SO-3", {}, "SO-3"),
        (r"[A-Z]{2}-\d+", "AB-1", {}, "AB-1"),
        (r"SO-\d+", "nothing", {"reference": "SO-8"}, "SO-8"),
        (r"SO-\d+", "nothing", {}, ""),
    ],
)
def test_an_order_number_is_recognised_by_pattern_in_text_and_fields(
    monkeypatch: pytest.MonkeyPatch, patterns: str, said: str, extra: dict[str, str], expected: str
) -> None:
    monkeypatch.setenv("ORDERTRACE_ORDER_ID_PATTERNS", patterns)
    configure("shop")
    service = Service(OrderFormatter("%(order_id)s"))
    service.log.info(said, extra=extra)
    assert service.text == expected + "\n"


def test_the_context_goes_before_a_pattern() -> None:
    configure("shop", order_id_patterns=r"SO-\d+")
    service = Service(OrderFormatter("%(order_id)s"))
    with order("SO-1"):
        service.log.info("merged with SO-2")
    assert service.text.strip() == "SO-1"


def test_ecs_json_is_one_line_with_every_control_character_escaped() -> None:
    service = Service(EcsFormatter())
    said = 'a\nb\r\x00\x1b[31m\x7f\x85\u2028\u2029 中文 😀 \ud800 "quoted"'
    with order("SO-1"):
        service.log.warning(said, extra={"event.action": "payment.failed", "sku": "A\nB", "payment_id": 7})
    assert len(service.text.splitlines()) == 1
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in service.text.rstrip("\n"))
    record = json.loads(service.text)
    assert record["message"] == said.replace("\ud800", "?")
    assert record["log.level"] == "warn" and record["log.logger"] == "shop.checkout"
    assert record["event.action"] == "payment.failed"
    assert (record["labels.sku"], record["order.refs.payment_id"]) == ("A\nB", "7")
    assert len(record["@timestamp"]) == len("2026-01-31T09:30:00.123456789Z")


def test_an_exception_is_told_by_type_message_and_stack() -> None:
    service = Service(EcsFormatter())
    try:
        raise ValueError("stock is gone")
    except ValueError:
        service.log.exception("failed")
    record = json.loads(service.text)
    assert (record["error.type"], record["error.message"]) == ("ValueError", "stock is gone")
    assert "test_service_logs.py" in record["error.stack_trace"]


@pytest.mark.parametrize("formatter", [EcsFormatter(), OrderFormatter(), OrderFormatter("%(no_such_field)s")])
def test_no_log_call_however_broken_raises_or_loses_its_line(
    formatter: logging.Formatter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service(formatter, OrderFilter())
    service.log.info("%d and %s", "not a number")
    service.log.info("%s", Rude())
    service.log.info(Rude())
    service.log.info("x", extra={"a": Rude(), "b": float("nan"), "c": 2**80, "d": b"\xff", "e": {1: Rude()}})
    service.log.info("y" * 3_000_000)
    assert len(service.text.splitlines()) == 5
    assert "Logging error" not in capsys.readouterr().err


def test_a_queue_handler_carries_the_context_of_the_log_call_to_another_thread() -> None:
    service = Service(EcsFormatter())
    records: queue.SimpleQueue[Any] = queue.SimpleQueue()
    handler = logging.handlers.QueueHandler(records)
    handler.addFilter(OrderFilter())
    listener = logging.handlers.QueueListener(records, service.handler)
    service.log.handlers = [handler]
    listener.start()
    with order("SO-1"):
        service.log.info("paid %s", "now")
    listener.stop()
    record = json.loads(service.text)
    assert (record["order.id"], record["message"]) == ("SO-1", "paid now")


def test_a_handler_ships_records_with_the_event_id_that_the_filter_gave(shipped: Any) -> None:
    service = Service(EcsFormatter())
    service.log.addHandler(OrderHandler())
    with order("SO-1"):
        service.log.info("paid")
    assert shipped.last()["event.id"] == json.loads(service.text)["event.id"]
    assert shipped.last()["order.id"] == "SO-1"


def test_capture_leaves_basic_config_and_the_services_format_as_they_are(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "records.log"
    configure("shop", transport=f"file:{path}", capture_logging=True)
    root = logging.getLogger()
    root.handlers = []
    stream = io.StringIO()
    logging.basicConfig(level=logging.INFO, stream=stream, format="%(levelname)s %(message)s")
    seen: list[logging.LogRecord] = []
    root.handlers[0].addFilter(lambda record: seen.append(record) or True)
    with order("SO-1"):
        logging.getLogger("shop.checkout").info("paid", extra={"sku": "A"})
        logging.getLogger("shop.checkout").debug("not at INFO")
    assert stream.getvalue() == "INFO paid\n"
    assert not [name for name in seen[0].__dict__ if "order" in name or "trace" in name]
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(r["order.id"], r["labels.sku"]) for r in records if "message" in r] == [("SO-1", "A")]


def test_capture_survives_dict_config_and_ends_when_switched_off(tmp_path: Any) -> None:
    path = tmp_path / "records.log"
    configure("shop", transport=f"file:{path}", capture_logging=True)
    logging.config.dictConfig(
        {"version": 1, "disable_existing_loggers": False, "root": {"level": "INFO", "handlers": []}}
    )
    logging.getLogger("shop.other").info("kept")
    configure("shop", transport=f"file:{path}", capture_logging=False)
    logging.getLogger("shop.other").info("not wanted")
    assert "kept" in path.read_text() and "not wanted" not in path.read_text()


def test_the_shims_own_complaints_are_not_shipped(tmp_path: Any) -> None:
    path = tmp_path / "records.log"
    configure("shop", transport=f"file:{path}", capture_logging=True)
    logging.getLogger("ordertrace").error("about shipping")
    assert "about shipping" not in path.read_text()


def test_a_str_that_logs_while_it_is_logged_does_not_recurse(tmp_path: Any) -> None:
    path = tmp_path / "records.log"
    configure("shop", transport=f"file:{path}", capture_logging=True)
    log = logging.getLogger("shop.checkout")
    log.setLevel(logging.INFO)

    class Chatty:
        def __str__(self) -> str:
            log.info("inner %s", "x")
            event("inner.event")
            return "chatty"

    log.info("outer %s", Chatty())
    assert "outer chatty" in path.read_text()


def test_structlog_events_are_enriched_and_shipped_once(tmp_path: Any) -> None:
    path = tmp_path / "records.log"
    configure("shop", transport=f"file:{path}", capture_logging=True)
    service = Service(logging.Formatter("%(message)s"))
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog_processor,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    with order("SO-1"):
        structlog.get_logger("shop.checkout").warning(
            "captured", **{"event.action": "payment.captured", "payment_id": "P-7", "odd": Rude}
        )
    rendered = json.loads(service.text)
    assert (rendered["event"], rendered["order_id"], rendered["level"]) == ("captured", "SO-1", "warning")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    (record,) = [r for r in records if r.get("event.action") != "heartbeat"]
    assert record["event.id"] == rendered["event.id"]
    assert (record["message"], record["event.action"]) == ("captured", "payment.captured")
    assert (record["order.refs.payment_id"], record["log.level"]) == ("P-7", "warn")


def test_structlog_without_the_standard_library_costs_no_later_record(tmp_path: Any) -> None:
    path = tmp_path / "records.log"
    configure("shop", transport=f"file:{path}", capture_logging=True)
    structlog.configure(
        processors=[structlog_processor, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(io.StringIO()),
    )
    structlog.get_logger().info("first")
    logging.getLogger("shop.checkout").warning("second")
    assert "first" in path.read_text() and "second" in path.read_text()


def test_a_services_own_fluent_handler_sends_the_orders_fields(receiver: Any, eventually: Any) -> None:
    handler = FluentHandler("shop.log", host="127.0.0.1", port=receiver.port, nanosecond_precision=True)
    handler.setFormatter(
        FluentRecordFormatter({"order.id": "%(order_id)s", "order.trace_id": "%(order_trace_id)s"})
    )
    handler.addFilter(OrderFilter())
    service = Service(logging.Formatter())
    service.log.handlers = [handler]
    service.log.info("nobody's")
    with order("SO-1"):
        service.log.info("paid")
    eventually(lambda: len(receiver.records) == 2)
    handler.close()
    assert [r["order.id"] for r in receiver.records] == ["", "SO-1"]
    assert receiver.records[1]["order.trace_id"] == order_trace_id("SO-1")


def test_a_fluent_handler_that_sends_all_attributes_can_carry_the_stamps(
    receiver: Any, eventually: Any
) -> None:
    handler = FluentHandler("shop.log", host="127.0.0.1", port=receiver.port)
    handler.setFormatter(FluentRecordFormatter(exclude_attrs={"exc_info", "args"}))
    handler.addFilter(OrderFilter())
    service = Service(logging.Formatter())
    service.log.handlers = [handler]
    with order("SO-1"):
        service.log.info("paid")
    eventually(lambda: receiver.records)
    handler.close()
    assert receiver.records[0]["order_id"] == "SO-1" and receiver.records[0]["message"] == "paid"


def test_tasks_log_for_their_own_orders() -> None:
    service = Service(OrderFormatter("%(order_id)s %(message)s"))

    async def work(number: int) -> None:
        with order(f"SO-{number}"):
            await asyncio.sleep(0)
            service.log.info(f"SO-{number}")

    async def all_of_them() -> None:
        await asyncio.gather(*(work(n) for n in range(20)))

    asyncio.run(all_of_them())
    assert all(a == b for a, b in (line.split() for line in service.text.splitlines()))


def test_a_complaint_about_a_setting_begins_no_instance_of_its_own(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its line passes the service's own OrderFilter while the shim is still being made."""
    path = tmp_path / "records.log"
    monkeypatch.setattr(shim, "_process", shim._Process())
    service = Service(EcsFormatter(), OrderFilter())
    logging.getLogger("ordertrace").addHandler(service.handler)
    try:
        monkeypatch.setenv("ORDERTRACE_TRANSPORT", f"file:{path}")
        configure("shop", heartbeat_interval=-1)
    finally:
        logging.getLogger("ordertrace").removeHandler(service.handler)
    assert "heartbeat_interval" in service.text
    assert len(path.read_text().splitlines()) == 1
