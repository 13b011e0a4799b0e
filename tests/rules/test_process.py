"""Process files: what they mean, and each mistake with its place."""

import pytest

from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.errors import Problem
from ordertrace_rules.fields import Reading
from ordertrace_rules.process import build_process, find_cycle, read_process
from ordertrace_rules.times import HOUR, MINUTE
from ordertrace_rules.vocabulary import Process, Stage
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


def test_the_time_scale_divides_targets_and_warnings() -> None:
    process, _ = read(SOUND, time_scale=3600)
    assert process is not None
    assert (process.stages[0].target, process.stages[0].warning) == (2 * HOUR // 3600, 30 * MINUTE // 3600)


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "fix"),
    [
        ("process: refill", "process: Re-Fill", "process: Re-Fill", "has not the form", "paid_not_reserved"),
        ("version: 3", "version: three", "version: three", "a whole number", "from 1"),
        ("subject: shipment_id", "subject: 7", "subject: 7", "a text is needed", 'in quotes: "7"'),
        ("version: 3", "verson: 3", "verson: 3", "“verson” is not a field", "did you mean “version”?"),
        ("version: 3", "calendar: office", "calendar: office", "not a field", "cannot be declared yet"),
        ("    owner: stores", "    pauses: []", "    pauses: []", "not a field", "cannot be declared yet"),
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
