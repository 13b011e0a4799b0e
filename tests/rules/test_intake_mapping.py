"""Foreign records in the words of the vocabulary, and mapping files with mistakes in them."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ordertrace_rules.clock import SetClock
from ordertrace_rules.errors import ConfigError
from ordertrace_rules.event import Event
from ordertrace_rules.intake.intake import Accepted, Intake
from ordertrace_rules.intake.mapping import Mappings, Template
from ordertrace_rules.intake.mapping_file import load_mappings, mapping_schema, read_mapping
from ordertrace_rules.stores.memory import MemoryStore
from ordertrace_rules.times import format_instant
from ordertrace_rules.yamlfile import parse_yaml

EXAMPLES = Path(__file__).parents[2] / "examples"


def mappings(*texts: str) -> Mappings:
    sets = [read_mapping(parse_yaml(text, f"{n}.yaml")) for n, text in enumerate(texts)]
    return Mappings({s.name: s for s in sets})


def mapped(text: str, *records: object, source: str = "x") -> tuple[list[Event], Accepted]:
    store = MemoryStore()
    accepted = Intake(store, SetClock(1), mappings(text)).accept(records, source=source)
    return list(store.arrivals("", 1000).events), accepted


PAYMENTS = r"""
mapping: gateway
zone: Asia/Shanghai
rules:
  - name: noise
    when: {message: '^DEBUG'}
    drop: true
  - name: result
    when:
      message: '^(?P<at>\S+ \S+) PAY (?P<payment>\w+) (?P<order>\S+) -> (?P<result>\w+)( (?P<why>.+))?$'
    time: {from: at, format: ["%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S"]}
    outcome: {from: result, success: [OK, DONE], failure: REFUSED}
    set:
      service.name: payment
      order.id: "SO-{order}"
      order.refs.payment_id: "{payment}"
      event.action: payment.captured
      event.reason: "{why}"
"""


def test_a_line_of_text_becomes_an_event() -> None:
    (event,), accepted = mapped(PAYMENTS, "2026-03-01 20:00:00 PAY P7 100 -> ok")
    assert accepted == Accepted(new=1)
    assert (event.order_id, event.refs, event.service) == ("SO-100", {"payment_id": "P7"}, "payment")
    assert (event.action, event.outcome, event.reason) == ("payment.captured", "success", "")
    assert format_instant(event.timestamp) == "2026-03-01T12:00:00Z"
    assert event.message == "2026-03-01 20:00:00 PAY P7 100 -> ok"


def test_outcomes_are_the_systems_own_words_and_any_other_is_unknown() -> None:
    lines = [
        f"2026/03/01 20:00:0{n} PAY P7 100 -> {w} because" for n, w in enumerate(("DONE", "refused", "hm"))
    ]
    events, _ = mapped(PAYMENTS, *lines)
    assert [e.outcome for e in events] == ["success", "failure", "unknown"]
    assert events[0].reason == "because"


def test_noise_is_dropped_and_counted_and_unknown_lines_are_kept_aside() -> None:
    events, accepted = mapped(PAYMENTS, "DEBUG x", "hello")
    assert events == []
    assert accepted == Accepted(dropped=1, kept_aside={"not_json": 1})


def test_a_time_that_cannot_be_read_keeps_the_record_aside() -> None:
    _, accepted = mapped(PAYMENTS, "2026-13-01 20:00:00 PAY P7 100 -> OK")
    assert accepted.kept_aside == {"bad_time": 1}


def test_a_record_that_no_rule_fits_stays_as_it_is() -> None:
    (event,), _ = mapped(PAYMENTS, {"@timestamp": "2026-03-01T00:00:00Z", "message": "own", "order.id": "1"})
    assert (event.message, event.order_id) == ("own", "1")


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ("{source: 'hook-*'}", True),
        ("{source: [other, hook-1]}", True),
        ("{source: hook}", False),
        ("{service: shop}", True),
        ("{service: Shop}", False),
        ("{tag: 'app.*'}", True),
        ("{tag: other}", False),
        ("{fields: {status: 3}}", True),
        ("{fields: {status: [1, '3'], ok: true}}", True),
        ("{fields: {status: 3, ok: false}}", False),
        ("{fields: {missing: null}}", True),
        ("{message: 'p.id'}", True),
        ("{service: shop, message: nothing}", False),
    ],
)
def test_all_that_when_says_has_to_hold(when: str, fits: bool) -> None:
    text = f"mapping: m\nrules:\n  - name: r\n    when: {when}\n    set: {{event.action: a.b}}\n"
    record = {"@timestamp": "2026-03-01T00:00:00Z", "service": {"name": "shop"}, "fluent.tag": "app.x"}
    (event,), _ = mapped(text, {**record, "status": 3, "ok": True, "message": "paid"}, source="hook-1")
    assert (event.action == "a.b") == fits


@pytest.mark.parametrize(
    ("form", "value", "instant"),
    [
        ("rfc3339", "2026-03-01T12:00:00+08:00", "2026-03-01T04:00:00Z"),
        ("rfc3339", "2026-07-01 12:00:00.123456789", "2026-07-01T10:00:00.123456789Z"),
        ("rfc3339", "2026-01-01T12:00:00", "2026-01-01T11:00:00Z"),
        ("epoch_s", 1772366400, "2026-03-01T12:00:00Z"),
        ("epoch_s", "1772366400.5", "2026-03-01T12:00:00.500Z"),
        ("epoch_ms", 1772366400123, "2026-03-01T12:00:00.123Z"),
        ("epoch_ns", "1772366400123456789", "2026-03-01T12:00:00.123456789Z"),
        ("'%d/%b/%Y:%H:%M:%S %z'", "01/Mar/2026:12:00:00 +0100", "2026-03-01T11:00:00Z"),
        ("'%d.%m.%Y %H:%M'", "01.07.2026 12:00", "2026-07-01T10:00:00Z"),
    ],
)
def test_times_are_read_as_they_are_written_and_where(form: str, value: object, instant: str) -> None:
    text = f"mapping: m\nzone: Europe/Berlin\nrules:\n  - name: r\n    time: {{from: t, format: {form}}}\n"
    (event,), _ = mapped(text, {"t": value})
    assert format_instant(event.timestamp) == instant


ROWS = """
mapping: rows
rules:
  - name: row
    keep: []
    rename: {no: order.id}
    set: {service.name: erp}
    events:
      - time: {from: placed}
        set: {event.action: order.placed}
      - time: {from: paid}
        set: {event.action: payment.captured, service.name: bank}
      - when: {fields: {state: gone}}
        time: {from: [placed, paid]}
        set: {event.action: order.cancelled}
"""


def test_one_row_gives_an_event_for_each_time_that_is_there() -> None:
    row = {"no": 7, "placed": "2026-03-01T00:00:00Z", "paid": "", "state": "open", "phone": "1"}
    events, accepted = mapped(ROWS, row)
    assert [(e.order_id, e.action, e.service) for e in events] == [("7", "order.placed", "erp")]
    assert accepted == Accepted(new=1)
    assert events[0].extra == {}


def test_of_several_times_the_latest_counts() -> None:
    row = {"no": 7, "placed": "2026-03-01T00:00:00Z", "paid": "2026-02-01T00:00:00Z", "state": "gone"}
    events, _ = mapped(ROWS, row)
    assert [(e.action, format_instant(e.timestamp)[:10]) for e in events] == [
        ("order.placed", "2026-03-01"),
        ("payment.captured", "2026-02-01"),
        ("order.cancelled", "2026-03-01"),
    ]


def test_a_row_that_is_exported_again_with_more_in_it_adds_only_what_is_new() -> None:
    store = MemoryStore()
    intake = Intake(store, SetClock(1), mappings(ROWS))
    row = {"no": 7, "placed": "2026-03-01T00:00:00Z", "state": "open"}
    assert intake.accept([row], source="orders.csv").new == 1
    assert intake.accept([{**row, "paid": "2026-03-02T00:00:00Z"}], source="orders.csv") == Accepted(1, 1)


def test_events_of_one_record_do_not_share_its_id() -> None:
    text = ROWS.replace("keep: []", "keep: [event.id]")
    row = {"event.id": "e", "no": 7, "placed": "2026-03-01T00:00:00Z", "paid": "2026-03-01T00:00:00Z"}
    events, accepted = mapped(text, row, row)
    assert sorted(e.id for e in events) == ["e:0", "e:1"]
    assert accepted == Accepted(2, 2)


def test_rule_sets_on_request_are_for_those_who_name_them(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("mapping: a\nrules: [{name: r, set: {labels.by: a}}]")
    (tmp_path / "b.yaml").write_text("mapping: b\nrules: [{name: r, set: {labels.by: b}}]")
    loaded = load_mappings([tmp_path / "a.yaml"], on_request=[tmp_path / "b.yaml", tmp_path / "a.yaml"])
    store = MemoryStore()
    intake = Intake(store, SetClock(1), loaded)
    intake.accept([{"@timestamp": "2026-03-01T00:00:00Z"}], source="x")
    intake.accept(
        [{"@timestamp": "2026-03-02T00:00:00Z"}], source="x", mapping=loaded.name_of(tmp_path / "b.yaml")
    )
    assert [e.labels["by"] for e in store.arrivals("", 10).events] == ["a", "b"]


def test_the_examples_are_sound_and_the_carriers_lines_are_read() -> None:
    for path in EXAMPLES.glob("**/mapping*/*.yaml"):
        load_mappings([path])
    loaded = load_mappings([EXAMPLES / "mappings" / "carrier.yaml"])
    store = MemoryStore()
    lines = [
        "2026-11-11T20:00:01.250+08:00 INFO waybill=YT000000000017 status=COLLECTED depot=HGH-2",
        "2026-11-12T20:00:01.250+08:00 INFO waybill=YT000000000017 status=SIGNED depot=HGH-2",
        "2026-11-12T20:00:02.250+08:00 WARNING van is late",
    ]
    assert Intake(store, SetClock(1), loaded).accept(lines, source="carrier.log") == Accepted(
        new=3, without_order=1
    )
    events = store.events_by_keys(["tracking_no:YT000000000017"], 10)
    assert [(e.action, e.service, e.labels["depot"]) for e in events] == [
        ("shipment.collected", "carrier", "HGH-2"),
        ("delivery.signed", "carrier", "HGH-2"),
    ]


# --- mistakes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "line", "message", "fix"),
    [
        ("when: {mesage: x}", 5, "“mesage” is not a field here", "did you mean “message”?"),
        ("when: {message: '(x'}", 5, "not a regular expression", "backslash"),
        ("set: {event.acton: a}", 5, "“event.acton” is not a field of the vocabulary", "event.action"),
        ("set: {order.id: '{x'}", 5, "a brace", "{{"),
        ("set: {order.id: [1]}", 5, "a single value", "text or a number"),
        ("set: {event.outcome: good}", 5, "not an outcome", "success"),
        ("time: {from: t, format: iso}", 5, "not a form of time", "rfc3339"),
        ("time: {from: t, format: '%H:%M'}", 5, "without its year", "year"),
        ("time: {from: t, format: '%Y %Q'}", 5, "not a format of strptime", "%Y-%m-%d"),
        ("time: {from: t, zone: Mars/Olympus}", 5, "not a time zone", "Asia/Shanghai"),
        ("time: {format: rfc3339}", 5, "“from” is missing", "add from"),
        ("drop: yes", 5, "true or false", "write true"),
        ("drop: true", 4, "a rule that drops every record", "when"),
        ("events: []", 5, "an empty list", "at least 1"),
        ("action: order.placed", 5, "“action” is not a field here", "event.action"),
        ("outcome: {success: [OK]}", 5, "“from” is missing", "add from"),
    ],
)
def test_a_mistake_has_its_line_and_the_way_out(rule: str, line: int, message: str, fix: str) -> None:
    text = f"mapping: m\nzone: UTC\nrules:\n  - name: r\n    {rule}\n"
    with pytest.raises(ConfigError) as caught:
        mappings(text)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == ("0.yaml", line)
    assert message in problem.message
    assert fix in problem.fix


def test_all_mistakes_of_all_files_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("mapping: a\nrules:\n  - name: r\n    nme: x\n    drop: 1\n")
    (tmp_path / "b.yaml").write_text("mapping: a\nmapping: b\nrules: []\n")
    (tmp_path / "c.yaml").write_text("mapping: c\nzone: Nowhere\nrules: [{name: r, set: {a: b}}]\n")
    (tmp_path / "d.yaml").write_text("mapping: d\nrules: [{name: r, set: {a: b}}]\n")
    (tmp_path / "e.yaml").write_text("mapping: d\nrules: [{name: r, set: {a: b}}]\n")
    with pytest.raises(ConfigError) as caught:
        load_mappings([*(tmp_path / f"{n}.yaml" for n in "abcde"), tmp_path / "missing.yaml"])
    found = [(Path(p.file).name, p.line) for p in caught.value.problems]
    assert found == [
        ("a.yaml", 4),
        ("a.yaml", 5),
        ("b.yaml", 2),
        ("b.yaml", 3),
        ("c.yaml", 2),
        ("e.yaml", 1),
        ("missing.yaml", 0),
    ]


def test_the_schema_takes_the_examples_and_refuses_what_the_reader_refuses() -> None:
    schema = mapping_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for path in (EXAMPLES / "olist" / "mapping.yaml", EXAMPLES / "mappings" / "carrier.yaml"):
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"mapping": "m", "rules": [{"name": "r", "sett": {}}]}, schema)


@given(st.text(max_size=60), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5))
def test_a_template_of_any_text_is_filled_or_refused(text: str, values: dict[str, str]) -> None:
    try:
        template = Template.parse(text)
    except ValueError:
        assert "{" in text or "}" in text
        return
    filled = template.fill(values)
    assert filled is None or isinstance(filled, str)
    escaped = Template.parse(text.replace("{", "{{").replace("}", "}}"))
    assert escaped.fill(values) == text


def test_a_field_alone_keeps_its_type() -> None:
    assert Template.parse("{n}").fill({"n": 1.5}) == 1.5
    assert Template.parse("x{n}").fill({"n": 1.5}) == "x1.5"
    assert Template.parse("{n}{m}").fill({"n": 1}) is None
    assert json.loads(json.dumps(Template.parse(True).fill({}))) is True
