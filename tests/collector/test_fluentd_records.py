"""What becomes of a record on its way through a real Fluentd into a real Elasticsearch."""

import json
from importlib.resources import files
from typing import Any

import pytest
from fluent.sender import FluentSender

from ordertrace_instrumentation import configure, event, shutdown
from ordertrace_instrumentation.identity import DEFAULT_NAMESPACE, order_trace_id
from ordertrace_instrumentation.shim import current_shim
from tests.collector.conftest import Fluentd, Stream, eventually

VECTORS: list[dict[str, str]] = json.loads(
    files("ordertrace_instrumentation").joinpath("identity_vectors.json").read_text(encoding="utf-8")
)["vectors"]


def send(fluentd: Fluentd, *records: dict[str, Any], at: float | None = None) -> None:
    """As a service with stock fluent-logger does; `at` is the time of the Forward entry."""
    sender = FluentSender("shop", port=fluentd.port, nanosecond_precision=at is None)
    for record in records:
        sent = sender.emit(None, record) if at is None else sender.emit_with_time(None, at, record)
        assert sent, sender.last_error
    sender.close()


def arrived(stream: Stream, case: str, count: int = 1) -> list[dict[str, Any]]:
    """The documents of one test, once there are `count`."""

    def found() -> list[dict[str, Any]]:
        return [d for d in stream.events() if str(d.get("labels.case", "")).startswith(case)]

    eventually(lambda: len(found()) >= count)
    return found()


def test_trace_ids_are_those_of_the_published_vectors(fluentd: Fluentd, stream: Stream) -> None:
    mine = [v for v in VECTORS if v["namespace"] == DEFAULT_NAMESPACE and v["order_id"].strip()]
    assert len(mine) > 10
    send(fluentd, *({"labels.case": "vector" + v["what"], "order.id": v["order_id"]} for v in mine))
    found = {d["labels.case"]: d["order.trace_id"] for d in arrived(stream, "vector", len(mine))}
    assert found == {"vector" + v["what"]: v["order_trace_id"] for v in mine}


def test_nested_keys_and_foreign_names_mean_the_same(fluentd: Fluentd, stream: Stream) -> None:
    for number, named in enumerate(
        ({"order": {"id": "SO-9"}}, {"order_id": "SO-9"}, {"orderId": "SO-9"}, {"orderNo": "SO-9"})
    ):
        send(fluentd, {"labels.case": f"spelling{number}", **named})
    found = arrived(stream, "spelling", 4)
    assert [d["order.trace_id"] for d in found] == [order_trace_id("SO-9")] * 4


@pytest.mark.parametrize("value", [None, "", " ", "-", "null", "NaN", "x" * 257, {"a": 1}])
def test_no_order_id_means_no_trace_id_at_all(fluentd: Fluentd, stream: Stream, value: Any) -> None:
    case = f"none {value!r:.20}"
    send(fluentd, {"labels.case": case, **({} if value is None else {"order_id": value})})
    [found] = arrived(stream, case)
    assert "order.trace_id" not in found


def test_what_the_shim_has_computed_stays(fluentd: Fluentd, stream: Stream) -> None:
    mine = {"order.id": "SO-1", "order.trace_id": "a" * 32, "event.id": "mine", "trace.id": "b" * 32}
    sent = {"labels.case": "kept", "@timestamp": "2026-11-11T20:00:00.123456789+08:00", **mine}
    send(fluentd, sent)
    [found] = arrived(stream, "kept")
    assert {**found, **sent} == found


def test_a_nested_event_id_is_the_events_id(fluentd: Fluentd, stream: Stream) -> None:
    send(fluentd, {"labels.case": "nested id", "event": {"id": "deep", "action": "order.placed"}})
    [found] = arrived(stream, "nested id")
    assert (found["event.id"], found["event"]) == ("deep", {"action": "order.placed"})


def test_identical_records_of_one_instant_collapse_and_others_do_not(
    fluentd: Fluentd, stream: Stream
) -> None:
    record = {"labels.case": "twins", "message": "picked"}
    send(fluentd, record, record, dict(reversed(record.items())), at=1_790_000_000)
    send(fluentd, record, at=1_790_000_001)
    send(fluentd, record | {"message": "packed"}, at=1_790_000_000)
    found = arrived(stream, "twins", 3)
    assert len(found) == 3
    assert {len(d["event.id"]) for d in found} == {32}


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({"ts": 1_790_000_000}, "2026-09-21T14:13:20.000000000Z"),
        ({"time": 1_790_000_000_123}, "2026-09-21T14:13:20.123000000Z"),
        ({"timestamp": "1790000000.5"}, "2026-09-21T14:13:20.500000000Z"),
        ({"ts": 1_790_000_000_123_456_789}, "2026-09-21T14:13:20.123456789Z"),
        ({"time": "2026-11-11T20:00:00+08:00"}, "2026-11-11T20:00:00+08:00"),
    ],
)
def test_times_are_read_in_each_spelling(
    fluentd: Fluentd, stream: Stream, given: dict[str, Any], written: str
) -> None:
    case = f"time {next(iter(given.values()))}"
    send(fluentd, {"labels.case": case, **given})
    [found] = arrived(stream, case)
    assert found["@timestamp"] == written


def test_secrets_and_persons_are_masked_and_orders_are_not(fluentd: Fluentd, stream: Stream) -> None:
    message = (
        "order 20260131000042 of zhang.san@example.com, call 13812345678, password=hunter2 "
        "Authorization: Bearer abc.def card 4111111111111111 waybill 4111111111111112"
    )
    send(
        fluentd, {"labels.case": "masked", "message": message, "password": "x", "order_id": "20260131000042"}
    )
    [found] = arrived(stream, "masked")
    assert found["message"] == (
        "order 20260131000042 of ***@***, call 138****5678, password=*** "
        "Authorization: Bearer *** card 4111****1111 waybill 4111111111111112"
    )
    assert "password" not in found
    assert found["order.id"] == "20260131000042"


def test_a_refused_record_is_a_dead_letter_counted_and_nothing_else_is_lost(
    fluentd: Fluentd, stream: Stream
) -> None:
    bad = {"labels.case": "bad", "@timestamp": "9999-99-99T00:00:00Z", "order.id": "SO-1", "event.id": "bad"}
    before = fluentd.plugin("dead_letters")["emit_records"]
    send(fluentd, {"labels.case": "good 1"}, bad, {"labels.case": "good 2"})
    assert len(arrived(stream, "good", 2)) == 2
    [letter] = eventually(fluentd.dead_letters)
    assert letter["tag"] == "shop"
    assert letter["record"] == {**letter["record"], **bad}
    assert fluentd.plugin("dead_letters")["emit_records"] == before + 1
    eventually(
        lambda: any(
            d.get("event.action") == "heartbeat" and d["ordertrace.lost.dead_letter"] == before + 1
            for d in stream.documents()
        )
    )
    assert "failed to parse" in fluentd.log.read_text()  # Elasticsearch's reason
    mended = json.dumps(letter["record"] | {"@timestamp": "2026-11-11T12:00:00Z"})
    (fluentd.tail_json / "again.jsonl").write_text(mended + "\n", encoding="utf-8")
    [again] = arrived(stream, "bad")
    assert again["event.id"] == "bad"


def test_fluentd_says_that_it_lives_under_one_instance(fluentd: Fluentd, stream: Stream) -> None:
    def beats() -> list[dict[str, Any]]:
        return [d for d in stream.documents() if d.get("service.name") == "fluentd"]

    eventually(lambda: len(beats()) >= 2)
    assert len({d["service.instance.id"] for d in beats()}) == 1
    assert {(d["event.kind"], d["event.action"]) for d in beats()} == {("metric", "heartbeat")}
    assert {d["ordertrace.heartbeat.interval"] for d in beats()} == {2}


def test_the_shims_records_and_heartbeats_arrive_acknowledged(fluentd: Fluentd, stream: Stream) -> None:
    configure("storefront", transport=f"forward://127.0.0.1:{fluentd.port}", heartbeat_interval=1000)
    for number in range(200):
        event("order.placed", order_id=f"SO-{number}", case="shim")
    shutdown()
    assert current_shim().lost() == {}
    found = arrived(stream, "shim", 200)
    assert {d["order.trace_id"] for d in found} == {order_trace_id(f"SO-{n}") for n in range(200)}
    mine = [d for d in stream.events() if d.get("service.name") == "storefront"]
    phases = {d["ordertrace.heartbeat.phase"] for d in mine if d["event.action"] == "heartbeat"}
    assert phases == {"start", "goodbye"}
    assert sorted(d["event.sequence"] for d in mine) == list(range(1, 203))


def test_lines_of_json_files_arrive_and_others_become_messages(fluentd: Fluentd, stream: Stream) -> None:
    lines = [
        json.dumps({"labels.case": "file", "@timestamp": "2026-11-11T12:00:00Z", "order_id": "SO-7"}),
        json.dumps({"labels.case": "file", "@timestamp": "2026-11-11T12:00:00Z", "order_id": "SO-7"}),
        "Traceback: no JSON at all",
    ]
    (fluentd.tail_json / "wms.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    [found] = arrived(stream, "file")
    assert found["order.trace_id"] == order_trace_id("SO-7")
    assert found["log.file.path"].endswith("wms.jsonl")
    eventually(lambda: any(d.get("message") == lines[2] for d in stream.events()))


def test_container_logs_arrive_from_docker_and_kubernetes(fluentd: Fluentd, stream: Stream) -> None:
    record = json.dumps({"labels.case": "container", "order_id": "SO-8", "log": {"level": "info"}})
    cri = f"2026-11-11T12:00:00.000000001Z stdout F {record}\n2026-11-11T12:00:01Z stderr F plain text\n"
    docker = json.dumps({"log": record + "\n", "stream": "stdout", "time": "2026-11-11T12:00:02Z"}) + "\n"
    (fluentd.tail_containers / f"pay-1_prod_payment-{'a' * 64}.log").write_text(cri, encoding="utf-8")
    (fluentd.tail_containers / f"{'b' * 64}-json.log").write_text(docker, encoding="utf-8")
    found = arrived(stream, "container", 2)
    assert [d["@timestamp"] for d in found] == ["2026-11-11T12:00:00.000000001Z", "2026-11-11T12:00:02Z"]
    assert [d["service.name"] for d in found] == ["payment", "b" * 12]
    assert [d["order.trace_id"] for d in found] == [order_trace_id("SO-8")] * 2
    [plain] = [d for d in stream.events() if d.get("message") == "plain text"]
    assert (plain["service.name"], plain["container.stream"]) == ("payment", "stderr")
