"""What intake makes of records, good and bad."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertrace_rules.clock import SetClock
from ordertrace_rules.errors import StoreUnavailable
from ordertrace_rules.event import Event
from ordertrace_rules.intake.intake import Accepted, Intake
from ordertrace_rules.intake.record import ID_LIMIT, MAX_LINE, MESSAGE_LIMIT
from ordertrace_rules.stores.memory import MemoryStore
from ordertrace_rules.times import parse_instant

NOW = parse_instant("2026-03-01T12:00:00Z")
AT = "2026-03-01T11:59:00Z"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def intake(store: MemoryStore) -> Intake:
    return Intake(store, SetClock(NOW))


def stored(store: MemoryStore) -> list[Event]:
    return list(store.arrivals("", 1000).events)


def only(store: MemoryStore) -> Event:
    (event,) = stored(store)
    return event


def test_nested_and_dotted_records_text_and_bytes_are_the_same(intake: Intake, store: MemoryStore) -> None:
    nested = {"@timestamp": AT, "event": {"id": "1"}, "order": {"id": "SO-1"}}
    dotted = {"@timestamp": AT, "event.id": "1", "order.id": "SO-1"}
    records = [nested, dotted, json.dumps(nested), json.dumps(dotted).encode() + b"\r\n"]
    assert intake.accept(records, source="x") == Accepted(new=1, known=3)
    assert only(store).order_id == "SO-1"
    assert only(store).ingested == NOW


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"order.id": "SO-1"}, "no_time"),
        ({"@timestamp": ""}, "no_time"),
        ({"@timestamp": "yesterday"}, "bad_time"),
        ({"@timestamp": 1767225600}, "bad_time"),
        ({"@timestamp": "9999-01-01T00:00:00Z"}, "bad_time"),
        ("plain text", "not_json"),
        ('{"@timestamp": ', "bad_json"),
        ('{"a":' * 100_000, "bad_json"),
        (b"\xff\xfe\x00", "not_json"),
        ('[{"@timestamp": ', "bad_json"),
        (b'  [ "a", ', "bad_json"),
        ("[1, 2", "bad_json"),
        ("[", "bad_json"),
        ("[[" * 50_000, "bad_json"),
        ("{" + '"n": ' + "9" * 5000 + "}", "bad_json"),
        ("[2026-01-31 09:30:00,123] [INFO] paid", "not_json"),
        ("[INFO] paid", "not_json"),
        ("[]", "not_an_object"),
        ('[{"a": 1}]', "not_an_object"),
        (["a", "list"], "not_an_object"),
        (17, "not_an_object"),
        (None, "not_an_object"),
        ("x" * (MAX_LINE + 1), "too_long"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_an_event_is_kept_aside_with_its_reason(
    record: object, reason: str, intake: Intake, store: MemoryStore
) -> None:
    good = {"@timestamp": AT, "order.id": "SO-1"}
    assert intake.accept([record, good], source="test") == Accepted(new=1, kept_aside={reason: 1})
    (kept,) = store.kept_aside(10)
    assert (kept.reason, kept.source, kept.at) == (reason, "test", NOW)
    assert len(kept.raw.encode()) < 70_000
    assert intake.tally.total.kept_aside == {reason: 1}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("paid", "not_json: a line of text that no mapping rule fits"),
        ('{"a": 1,, "b": 2}', "bad_json: it begins as JSON and is none: .* at column 9"),
        ('[{"a": 1}\n {"b": 2}]', "bad_json: it begins as JSON and is none: .* at line 2, column 2"),
        ("[" * 100_000, "bad_json: JSON nested too deeply"),
        ("[1]", "not_an_object: a list"),
    ],
    ids=lambda text: text[:12],
)
def test_it_is_told_what_is_wrong_with_a_line(line: str, said: str, intake: Intake) -> None:
    told: list[str] = []
    intake.accept([line], source="x", on_kept=lambda _, error: told.append(str(error)))
    (text,) = told
    assert re.match(said, text)


def test_repeats_of_a_bad_record_collapse(intake: Intake, store: MemoryStore) -> None:
    intake.accept(["no json"] * 5, source="test")
    assert len(store.kept_aside(10)) == 1


def test_empty_lines_are_nothing(intake: Intake) -> None:
    assert intake.accept(["", "  \n", b"\r\n"], source="x").kept_aside == {}


def test_a_record_without_an_id_gets_one_from_its_source_and_content(
    intake: Intake, store: MemoryStore
) -> None:
    record = {"@timestamp": AT, "message": "paid"}
    assert intake.accept([record], source="a").new == 1
    assert intake.accept([record], source="a") == Accepted(known=1, without_order=1)
    assert intake.accept([record], source="b").new == 1
    assert intake.accept([{**record, "message": "paid again"}], source="a").new == 1


def test_a_message_of_a_megabyte_is_cut_with_a_mark_and_its_length(
    intake: Intake, store: MemoryStore
) -> None:
    message = "支付" * 175_000  # 1,050,000 bytes
    intake.accept([{"@timestamp": AT, "message": message}], source="x")
    event = only(store)
    assert event.message.endswith("… [cut: 1050000 bytes]")
    assert MESSAGE_LIMIT - 4 < len(event.message.encode()) < MESSAGE_LIMIT + 40
    assert event.extra["ordertrace.cut.message"] == 1_050_000


def test_too_many_labels_refs_and_fields_are_cut_and_counted(intake: Intake, store: MemoryStore) -> None:
    record: dict[str, object] = {f"noise.{n}": n for n in range(1000)}
    record |= {f"labels.l{n}": n for n in range(100)} | {f"order.refs.r{n}": n for n in range(50)}
    record |= {"@timestamp": AT, "order.id": "SO-1", "service.name": "shop", "labels.long": "y" * 5000}
    intake.accept([record], source="x")
    event = only(store)
    assert (len(event.labels), len(event.refs)) == (64, 32)
    assert (event.order_id, event.service) == ("SO-1", "shop")
    assert len(event.extra) < 300
    assert event.extra["ordertrace.cut.labels"] == 101
    assert event.extra["ordertrace.cut.refs"] == 50


def test_an_id_stays_an_id_however_long(intake: Intake, store: MemoryStore) -> None:
    intake.accept([{"@timestamp": AT, "order.id": "9" * 10_000}], source="x")
    assert len(only(store).order_id.encode()) < ID_LIMIT + 40


def test_control_characters_go_and_breaks_in_messages_stay(intake: Intake, store: MemoryStore) -> None:
    record = {
        "@timestamp": AT,
        "order": {"id": "SO\x00-\x1b[31m1\x9b\u202e"},
        "message": "a\tb\r\nc\x07\x1b[2J",
        "labels": {"sk\x00u": "x\ny"},
        "broken": "\ud800",
    }
    intake.accept([record], source="x")
    event = only(store)
    assert event.order_id == "SO-[31m1"
    assert event.message == "a\tb\nc[2J"
    assert event.labels == {"sku": "x y"}
    assert event.extra["broken"] == "\ufffd"


def test_html_and_markdown_in_ids_stay_text(intake: Intake, store: MemoryStore) -> None:
    evil = "<script>alert(1)</script>[x](http://e)"
    intake.accept([{"@timestamp": AT, "order.id": evil, "labels.sku": "<b>"}], source="x")
    assert (only(store).order_id, only(store).labels["sku"]) == (evil, "<b>")


def test_numbers_that_no_column_holds_do_not_stop_a_batch(intake: Intake, store: MemoryStore) -> None:
    record = {"@timestamp": AT, "event.sequence": 10**30, "event.duration": "1e300", "n": float("nan")}
    assert intake.accept([record, '{"@timestamp": "' + AT + '", "x": NaN, "y": 1e999}'], source="x").new == 2
    for event in stored(store):
        assert event.sequence is None
        json.dumps(event.to_document(), allow_nan=False)


@pytest.mark.parametrize("number", [10**40, 2**63, -(2**63) - 1, 10**18, 7, 10**250])
def test_a_number_of_any_length_is_an_id_by_its_digits(
    number: int, intake: Intake, store: MemoryStore
) -> None:
    record = {"@timestamp": AT, "order": {"id": number, "refs": {"payment_id": [number]}}, "x": [number]}
    assert intake.accept([json.dumps(record), record], source="x") == Accepted(new=1, known=1)
    assert (only(store).order_id, only(store).refs) == (str(number), {"payment_id": str(number)})


@pytest.mark.parametrize("digits", [639, 641, 4301, 4900, 200_000])
def test_a_number_longer_than_python_writes_is_text_and_cut(
    digits: int, intake: Intake, store: MemoryStore
) -> None:
    assert intake.accept([{"@timestamp": AT, "order.id": 10**digits, 10**digits: 1}], source="x").new == 1
    assert len(only(store).order_id) < ID_LIMIT + 40
    assert only(store).order_id.startswith("10000000" if digits < 5000 else "0x")


def test_a_list_of_one_is_the_value_wherever_one_belongs(intake: Intake, store: MemoryStore) -> None:
    plain = {
        "@timestamp": AT,
        "event.id": "e-1",
        "event.action": "payment.captured",
        "event.sequence": 4,
        "event.duration": 5,
        "service.name": "payment",
        "message": "a\nb",
        "order.id": "L1",
        "order.amount": 9.5,
        "order.refs.payment_id": "P-1",
        "order.refs.count": 17,
        "labels.sku": "S",
    }
    listed = {name: [value] for name, value in plain.items()} | {"labels.none": [], "order.status": [None]}
    intake.accept([listed], source="x")
    other = MemoryStore()
    Intake(other, SetClock(NOW)).accept([plain], source="x")
    assert only(store) == only(other)
    assert (only(store).order_id, only(store).refs["count"], only(store).amount) == ("L1", "17", 9.5)


def test_a_line_break_in_a_list_is_none_in_an_id(intake: Intake, store: MemoryStore) -> None:
    intake.accept([{"@timestamp": AT, "order.id": ["L\n1"]}], source="x")
    assert only(store).order_id == "L 1"


def test_of_several_values_of_a_ref_none_is_lost(intake: Intake, store: MemoryStore) -> None:
    several = ["", "P-1", "P-2", "P-1"]
    record = {"@timestamp": AT, "order.id": "L1", "order.refs.payment_id": several, "labels.a": ["x", "y"]}
    record |= {"order.refs.rma_id": ["R-1", "R-1"], "order.refs.odd": [{"a": 1}]}
    intake.accept([record], source="x")
    event = only(store)
    assert event.refs == {"payment_id": "P-1", "rma_id": "R-1", "odd": '[{"a": 1}]'}
    assert event.extra == {"ordertrace.several.order.refs.payment_id": several}
    assert event.labels == {"a": '["x", "y"]'}
    assert Event.from_document(event.to_document(), received=0) == event


def test_a_record_of_several_orders_is_kept_aside_and_its_neighbours_are_not(
    intake: Intake, store: MemoryStore
) -> None:
    record = {"@timestamp": AT, "order.id": ["A", "B"]}
    same = {"@timestamp": AT, "order.id": ["A", None, "A"]}
    assert intake.accept([record, same], source="x") == Accepted(new=1, kept_aside={"several_orders": 1})
    assert only(store).order_id == "A"
    (kept,) = store.kept_aside(10)
    assert '["A", "B"]' in kept.raw


def test_objects_nested_without_end_are_cut(intake: Intake, store: MemoryStore) -> None:
    deep: dict[str, object] = {"end": 1}
    for _ in range(5000):
        deep = {"d": deep}
    result = intake.accept([{"@timestamp": AT, **deep}, {"@timestamp": AT}], source="x")
    assert result.new + sum(result.kept_aside.values()) == 2
    assert result.new >= 1


def test_an_unknown_mapping_is_an_error_of_the_caller(intake: Intake) -> None:
    with pytest.raises(KeyError, match="nowhere"):
        intake.accept([], source="x", mapping="nowhere")


def test_the_service_stands_where_the_record_says_none(intake: Intake, store: MemoryStore) -> None:
    intake.accept([{"@timestamp": AT}, {"@timestamp": AT, "service.name": "b"}], source="x", service="a")
    assert [e.service for e in stored(store)] == ["a", "b"]


class BrokenStore(MemoryStore):
    def append(self, events: object) -> object:  # type: ignore[override]
        raise StoreUnavailable("away")


def test_what_the_store_refuses_is_not_accepted() -> None:
    intake = Intake(BrokenStore(), SetClock(NOW))
    with pytest.raises(StoreUnavailable):
        intake.accept([{"@timestamp": AT}], source="x")
    assert intake.tally.total == Accepted()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


@given(
    st.dictionaries(
        st.sampled_from(["@timestamp", "order", "order.id", "labels", "message", "event", "phone"])
        | st.text(max_size=5),
        json_values,
        max_size=6,
    ),
    st.booleans(),
)
def test_no_record_whatever_is_in_it_is_lost_or_breaks_anything(
    record: dict[str, object], timed: bool
) -> None:
    store = MemoryStore()
    if timed:
        record["@timestamp"] = AT
    result = Intake(store, SetClock(NOW)).accept([record], source="x")
    assert result.new + sum(result.kept_aside.values()) == 1
    assert "unreadable" not in result.kept_aside
    for event in stored(store):
        text = json.dumps(event.to_document(), allow_nan=False)
        text.encode()
        assert Event.from_document(json.loads(text), received=0) == event


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_line_whatever_is_in_it_is_lost_or_breaks_anything(line: bytes | str) -> None:
    result = Intake(MemoryStore(), SetClock(NOW)).accept([line], source="x")
    assert result.new + sum(result.kept_aside.values()) + result.dropped == 1
    assert "unreadable" not in result.kept_aside
