"""Process files: what they mean, and each mistake with its place."""

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ordertrace_rules.calendar import Calendar
from ordertrace_rules.calendar_file import CALENDAR
from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.errors import Problem
from ordertrace_rules.fields import Reading
from ordertrace_rules.process import PAUSE, PROCESS, STAGE, build_process, find_cycle, read_process
from ordertrace_rules.times import HOUR, MINUTE
from ordertrace_rules.vocabulary import Pause, Process, Stage
from ordertrace_rules.yamlfile import parse_yaml

SOUND = """\
process: refill
version: 3
subject: shipment_id
title: {en: Refill, zh: 补货}
stages:
  - id: asked
    title: {en: Asked, zh: 已申请}
    starts: refill.asked
    ends: [refill.sent, refill.found]
    fails: refill.refused
    services: stores
    target: 2h
    warning: 30m
    owner: stores
    waiting_title: {en: waiting for goods, zh: 待补货}
  - id: shelved
    title: {en: Shelved, zh: 已上架}
    starts: refill.sent
    ends: refill.shelved
ends: refill.shelved
calls: [storefront -> stores, stores -> wms]
emits: {refill.asked: storefront}
subscribers: {refill: [wms]}
"""


def read(text: str, time_scale: float = 1.0) -> tuple[Process | None, list[Problem]]:
    reading = Reading(parse_yaml(text, "refill.yaml"), time_scale)
    values = read_process(reading)
    return (None if reading.problems else build_process(values, "refill.yaml")), reading.problems


def test_every_field_is_read() -> None:
    process, problems = read(SOUND)
    assert problems == []
    assert process == Process(
        id="refill",
        version=3,
        subject="shipment_id",
        title={"en": "Refill", "zh": "补货"},
        stages=(
            Stage(
                id="asked",
                title={"en": "Asked", "zh": "已申请"},
                starts=("refill.asked",),
                ends=("refill.sent", "refill.found"),
                fails=("refill.refused",),
                services=("stores",),
                target=2 * HOUR,
                warning=30 * MINUTE,
                owner="stores",
                waiting_title={"en": "waiting for goods", "zh": "待补货"},
            ),
            Stage("shelved", {"en": "Shelved", "zh": "已上架"}, ("refill.sent",), ("refill.shelved",)),
        ),
        ends=("refill.shelved",),
        calls=(("storefront", "stores"), ("stores", "wms")),
        emits={"refill.asked": ("storefront",)},
        subscribers={"refill": ("wms",)},
        file="refill.yaml",
    )


def test_a_stage_for_each_parcel_is_read() -> None:
    process, _ = read(SOUND.replace("    owner: stores\n", "    per: tracking_no\n    complete: any\n", 1))
    assert process is not None
    assert [(stage.per, stage.complete) for stage in process.stages] == [("tracking_no", "any"), ("", "all")]


def test_the_time_scale_divides_targets_and_warnings() -> None:
    process, _ = read(SOUND, time_scale=3600)
    assert process is not None
    assert (process.stages[0].target, process.stages[0].warning) == (2 * HOUR // 3600, 30 * MINUTE // 3600)


CLOCKS = """\
calendar:
  zone: Asia/Shanghai
  hours: 09:00-18:00
pauses:
  - from: order.held
    until: [order.released, order.approved]
"""
OWN = """\
    calendar:
      zone: Europe/Berlin
      days: [sat, sun]
      hours: ["13:00-17:30", "08:00-12:00"]
      closed: 2026-12-26
    pauses:
      - {from: stores.closed, until: stores.opened}
"""


def test_calendar_and_pauses_of_the_process_hold_in_stages_without_their_own() -> None:
    text = CLOCKS + SOUND.replace("    owner: stores\n", OWN, 1)
    process, problems = read(text, time_scale=60)
    assert problems == []
    assert process is not None
    asked, shelved = process.stages
    held = Pause(("order.held",), ("order.released", "order.approved"))
    assert shelved.calendar == Calendar(ZoneInfo("Asia/Shanghai"), ((540, 1080),), frozenset(range(5)))
    assert shelved.pauses == (held,)
    assert asked.calendar == Calendar(
        ZoneInfo("Europe/Berlin"),
        ((480, 720), (780, 1050)),
        frozenset({5, 6}),
        frozenset({date(2026, 12, 26)}),
    )
    assert asked.pauses == (held, Pause(("stores.closed",), ("stores.opened",)))


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "fix"),
    [
        ("zone: Asia/Shanghai", "zone: Shanghai", "  zone: Shanghai", "not a time zone", "Asia/Shanghai"),
        ("  zone: Asia/Shanghai\n", "", "calendar:", "“zone” is missing", "add zone"),
        ("09:00-18:00", "9-18", "  hours: 9-18", "not the form", "09:00-18:00"),
        (
            "09:00-18:00",
            "22:00-06:00",
            "  hours: 22:00-06:00",
            "ends no later",
            "22:00-24:00 and 00:00-06:00",
        ),
        (
            "09:00-18:00",
            '["09:00-18:00", "17:00-20:00"]',
            '  hours: ["09:00-18:00", "17:00-20:00"]',
            "from 17:00 are counted twice",
            "before the next",
        ),
        ("  hours: 09:00-18:00", "  hours: []", "  hours: []", "an empty list", "at least 1"),
        ("  hours: 09", "  days: monday\n  hours: 09", "  days: monday", "“monday” is not known", "“mon”"),
        ("  hours: 09", "  closed: 2026-02-30\n  hours: 09", "  closed: 2026-02-30", "no day", "year, month"),
        ("  hours: 09", "  holidays: []\n  hours: 09", "  holidays: []", "not a field", "“closed”"),
        ("target: 2h", "target: 1300d", "    target: 1300d", "ten years of this calendar", "working time"),
        (
            "    until: [order.released, order.approved]\n",
            "",
            "  - from: order.held",
            "“until” is missing",
            "add",
        ),
        (
            "[order.released, order.approved]",
            "order.held",
            "    until: order.held",
            "both begins and ends",
            "another",
        ),
    ],
)
def test_each_mistake_of_a_calendar_or_pause_has_its_line_and_a_way_out(
    old: str, new: str, line: str, message: str, fix: str
) -> None:
    text = CLOCKS + SOUND
    assert old in text
    text = text.replace(old, new, 1)
    _, (problem,) = read(text)
    assert problem.text == line
    assert text.splitlines()[problem.line - 1] == line
    assert message in problem.message
    assert fix in problem.fix


@pytest.mark.parametrize(
    "name", sorted({field.name for record in (PROCESS, STAGE, CALENDAR, PAUSE) for field in record.fields})
)
def test_every_field_of_a_process_is_documented(name: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "processes.md"
    assert f"| `{name}` |" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "fix"),
    [
        ("process: refill", "process: Re-Fill", "process: Re-Fill", "has not the form", "paid_not_reserved"),
        ("version: 3", "version: three", "version: three", "a whole number", "from 1"),
        ("subject: shipment_id", "subject: 7", "subject: 7", "a text is needed", 'in quotes: "7"'),
        ("version: 3", "verson: 3", "verson: 3", "“verson” is not a field", "did you mean “version”?"),
        ("version: 3", "calendar: office", "calendar: office", "fields are needed", "zone, hours"),
        ("version: 3", "pauses: order.held", "pauses: order.held", "a list is needed", "[a, b]"),
        (
            "title: {en: Refill, zh: 补货}",
            "title: {en: Refill}",
            "title: {en: Refill}",
            "“zh” is missing",
            "add zh",
        ),
        (
            "title: {en: Refill, zh: 补货}",
            "title: Refill",
            "title: Refill",
            "in each language",
            "{en: Refill, zh: …}",
        ),
        (
            "title: {en: Refill, zh: 补货}",
            "title: {en: Refill, or not, zh: 补货}",
            "title: {en: Refill, or not, zh: 补货}",
            "“or not” is not a language",
            "put the text in quotes",
        ),
        ("  - id: shelved", "  - id: asked", "  - id: asked", "stage “asked” is here twice", "line 6"),
        (
            "    ends: refill.shelved",
            "    ends: refill.sent",
            "    ends: refill.sent",
            "both begins",
            "comes after",
        ),
        ("owner: stores", "complete: any", "    complete: any", "without “per”", "add per"),
        ("owner: stores", "each: shipment_id", "    each: shipment_id", "not a field", "per: shipment_id"),
        ("owner: stores", "per: [a, b]", "    per: [a, b]", "a text is needed", "quotes"),
        ("    starts: refill.sent\n", "", "  - id: shelved", "“starts” is missing", "add starts"),
        ("target: 2h", "target: 2", "    target: 2", "a duration is needed", "2h"),
        ("target: 2h", "target: 0m", "    target: 0m", "a duration of zero", "2h"),
        ("target: 2h", "target: soon", "    target: soon", "“soon” is not a duration", "2h"),
        ("target: 2h", "target: 90000d", "    target: 90000d", "more than ten years", "unit"),
        ("warning: 30m", "warning: 3h", "    warning: 3h", "no earlier than the target", "shorter"),
        ("    target: 2h\n", "", "    warning: 30m", "without a target", "add “target”"),
        ("ends: refill.shelved\ncalls", "ends: []\ncalls", "ends: []", "an empty list", "at least 1"),
        ("ends: refill.shelved\ncalls", "ends:\ncalls", "ends:", "“ends” has no value", "write it"),
        (
            "calls: [storefront -> stores, stores -> wms]",
            "calls:\n  - stores -> wms\n  - wms -> stores",
            "  - wms -> stores",
            "the calls go round: stores -> wms -> stores",
            "leave out answers",
        ),
        (
            "stores -> wms",
            "stores wms",
            "calls: [storefront -> stores, stores wms]",
            "not the form",
            "storefront -> payment",
        ),
        (
            "subscribers: {refill: [wms]}",
            "subscribers: wms",
            "subscribers: wms",
            "names with a value",
            "name: …",
        ),
        (
            "  - id: shelved\n",
            "  - asked\n  - id: shelved\n",
            "  - asked",
            "fields are needed",
            "name: value",
        ),
    ],
)
def test_each_mistake_has_its_line_and_a_way_out(
    old: str, new: str, line: str, message: str, fix: str
) -> None:
    assert old in SOUND
    text = SOUND.replace(old, new, 1)
    _, (problem,) = read(text)
    assert problem.text == line
    assert text.splitlines()[problem.line - 1] == line
    assert message in problem.message
    assert fix in problem.fix


def test_all_mistakes_are_told_at_once() -> None:
    text = (
        SOUND.replace("version: 3", "version: x")
        .replace("target: 2h", "target: x")
        .replace("calls:", "cals:")
    )
    assert [problem.line for problem in read(text)[1]] == [21, 2, 12]


def test_the_shipped_fulfilment_has_no_gap_between_its_stages() -> None:
    process = load_catalogue().processes["order_fulfilment"]
    for before, after in zip(process.stages, process.stages[1:], strict=False):
        assert before.ends == after.starts
    assert process.stages[0].starts == ("order.placed",)
    assert {"order.cancelled", "delivery.signed"} == set(process.ends)
    assert process.subject == "order"


def test_every_shipped_stage_says_who_is_asked_and_who_speaks_in_both_languages() -> None:
    for process in load_catalogue().processes.values():
        for stage in process.stages:
            assert stage.services and stage.owner and stage.target and stage.warning
            assert set(stage.title) == set(stage.waiting_title) == {"en", "zh"}
            for action in (*stage.starts, *stage.ends):
                assert process.emitters(action), f"nobody is said to emit {action}"


def test_an_order_without_stock_is_called_what_shops_call_it() -> None:
    stage = load_catalogue().processes["order_fulfilment"].stage("reservation")
    assert stage is not None
    assert stage.waiting_title == {"en": "waiting for outbound", "zh": "等待出库"}


def test_the_warehouse_is_not_below_the_inventory_in_the_call_order() -> None:
    calls = load_catalogue().processes["order_fulfilment"].calls
    assert ("inventory", "wms") not in calls
    assert not find_cycle({a: [b for c, b in calls if c == a] for a, _ in calls})


def test_a_circle_is_found_wherever_one_enters() -> None:
    assert find_cycle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ("b", "c", "b")
    assert find_cycle({"a": ["a"]}) == ("a", "a")
    assert find_cycle({"a": ["b", "c"], "b": ["c"]}) == ()
