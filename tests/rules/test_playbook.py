"""Playbook files: what they mean, and each mistake with its place."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ordertrace_rules import condition_forms
from ordertrace_rules.calendar import Calendar
from ordertrace_rules.condition_forms import FORMS
from ordertrace_rules.conditions import steps
from ordertrace_rules.conditions.count_in_window import CountInWindow
from ordertrace_rules.conditions.forbidden_after import ForbiddenAfter
from ordertrace_rules.conditions.happened_but_not import HappenedButNot
from ordertrace_rules.conditions.in_sequence import InSequence
from ordertrace_rules.conditions.logs_missing import LogsMissing
from ordertrace_rules.conditions.not_all import NotAll
from ordertrace_rules.conditions.not_consumed import NotConsumed
from ordertrace_rules.conditions.promise_at_risk import PromiseAtRisk
from ordertrace_rules.conditions.repeated_failures import RepeatedFailures
from ordertrace_rules.conditions.stage_at_risk import StageAtRisk
from ordertrace_rules.conditions.stage_overdue import StageOverdue
from ordertrace_rules.conditions.status_differs import StatusDiffers
from ordertrace_rules.conditions.steps import Steps
from ordertrace_rules.conditions.vocabulary import Condition
from ordertrace_rules.conditions.volume import Volume
from ordertrace_rules.errors import Problem
from ordertrace_rules.fields import Reading, Record
from ordertrace_rules.guidance import GUIDE, PROPOSED_ACTION, STEP
from ordertrace_rules.playbook import ESCALATION, PLAYBOOK, build_playbook, read_playbook
from ordertrace_rules.times import DAY, HOUR, MINUTE
from ordertrace_rules.verdict_file import BRANCH, CAUSE, QUESTION
from ordertrace_rules.vocabulary import Escalation, GuideText, Pause, Playbook, ProposedAction, Step
from ordertrace_rules.yamlfile import parse_yaml

DOCS = Path(__file__).parents[2] / "docs"

SOUND = """\
playbook: late_refill
version: 2
title: {en: Refill is late, zh: 补货延误}
verdict: {en: late, zh: 延误}
process: order_fulfilment
severity: warning
owner: stores
stage: picking
when:
  happened: wms.received
  but_not: [wms.picked, wms.packed]
  within: 1h30m
unless: order.cancelled
depends_on: paid_not_reserved
group_by: [warehouse]
reopen_within: 1d
suspects: wms
guide:
  summary: {en: It is late., zh: 延误了。}
  steps:
    - do: {en: Look., zh: 查看。}
      owner: stores
    - do: {en: Ask., zh: 询问。}
  avoid:
    - {en: Don't wait., zh: 不要等。}
  over_when: {en: It is there., zh: 已到货。}
actions:
  - kind: ticket
    title: {en: Open a ticket, zh: 提交工单}
    safe: true
escalate:
  - {to: critical, count: 50}
  - {to: critical, amount: 1e5, currency: CNY, age: 4h}
where: {channel: [app, web]}
where_not: {kind: presale}
calendar: {zone: Asia/Shanghai, hours: 09:00-18:00}
pauses: [{from: order.cancelled, until: order.placed}]
"""
WHEN = """\
when:
  happened: wms.received
  but_not: [wms.picked, wms.packed]
  within: 1h30m
"""


def read(text: str, time_scale: float = 1.0) -> tuple[Playbook | None, list[Problem]]:
    reading = Reading(parse_yaml(text, "late.yaml"), time_scale)
    values = read_playbook(reading)
    return (None if reading.problems else build_playbook(values, "late.yaml")), reading.problems


def test_every_field_is_read() -> None:
    playbook, problems = read(SOUND)
    assert problems == []
    assert playbook == Playbook(
        id="late_refill",
        version=2,
        title={"en": "Refill is late", "zh": "补货延误"},
        verdict={"en": "late", "zh": "延误"},
        process="order_fulfilment",
        severity="warning",
        condition=HappenedButNot(("wms.received",), ("wms.picked", "wms.packed"), HOUR + 30 * MINUTE),
        stage="picking",
        unless=("order.cancelled",),
        depends_on=("paid_not_reserved",),
        group_by=("warehouse",),
        reopen_within=DAY,
        owner="stores",
        suspects=("wms",),
        guide=GuideText(
            summary={"en": "It is late.", "zh": "延误了。"},
            steps=(
                Step({"en": "Look.", "zh": "查看。"}, "stores"),
                Step({"en": "Ask.", "zh": "询问。"}),
            ),
            avoid=({"en": "Don't wait.", "zh": "不要等。"},),
            over_when={"en": "It is there.", "zh": "已到货。"},
        ),
        actions=(ProposedAction("ticket", {"en": "Open a ticket", "zh": "提交工单"}, safe=True),),
        escalations=(
            Escalation("critical", count=50),
            Escalation("critical", amount=1e5, currency="CNY", age=4 * HOUR),
        ),
        where={"channel": ("app", "web")},
        where_not={"kind": ("presale",)},
        calendar=Calendar(ZoneInfo("Asia/Shanghai"), ((540, 1080),), frozenset(range(5))),
        pauses=(Pause(("order.cancelled",), ("order.placed",)),),
        file="late.yaml",
    )


@pytest.mark.parametrize(
    ("when", "condition"),
    [
        ("stage_overdue: any", StageOverdue(())),
        ("stage_overdue: [picking, packing]", StageOverdue(("picking", "packing"))),
        ("stage_overdue: picking", StageOverdue(("picking",))),
        (
            "{count_of: payment.failed, at_least: 3, window: 10m, until: payment.captured}",
            CountInWindow(("payment.failed",), 3, 10 * MINUTE, ("payment.captured",)),
        ),
        (
            "{count_of: [payment.failed], at_least: 3, window: 10m}",
            CountInWindow(("payment.failed",), 3, 10 * MINUTE),
        ),
        (
            "{count_of: a.b, at_least: 2, window: 1d, distinct: payment_id}",
            CountInWindow(("a.b",), 2, DAY, (), "payment_id"),
        ),
        (
            "{failures_of: [a.b, a.failed], at_least: 3, window: 1h, until: c.d}",
            RepeatedFailures(("a.b", "a.failed"), 3, HOUR, ("c.d",)),
        ),
        ("{sequence: [a.b, c.d], within: 1h, until: e.f}", InSequence(("a.b", "c.d"), HOUR, ("e.f",))),
        (
            "{steps: [{event: a.b}, {event: [c.d, e.f], within: 2h}]}",
            Steps((steps.Step(("a.b",)), steps.Step(("c.d", "e.f"), 2 * HOUR))),
        ),
        ("{after: a.b, all_of: [c.d, e.f], within: 4h}", NotAll(("a.b",), ("c.d", "e.f"), 4 * HOUR)),
        ("{after: a.b, any_of: [c.d, e.f], within: 4h}", HappenedButNot(("a.b",), ("c.d", "e.f"), 4 * HOUR)),
        ("{after: a.b, none_of: c.d, within: 4h}", ForbiddenAfter(("a.b",), ("c.d",), 4 * HOUR)),
        (
            "{after: a.b, none_of: c.d, within: 4h, until: e.f}",
            ForbiddenAfter(("a.b",), ("c.d",), 4 * HOUR, ("e.f",)),
        ),
        (
            "{status_differs: [shop, wms], for: 30m, equivalent: {sent: [SENT, out], new: NEW}}",
            StatusDiffers(("shop", "wms"), 30 * MINUTE, {"SENT": "sent", "out": "sent", "NEW": "new"}),
        ),
        ("{status_differs: [shop, wms], for: 30m}", StatusDiffers(("shop", "wms"), 30 * MINUTE)),
        (
            "{not_consumed: stock, subscriber: wms, within: 5m}",
            NotConsumed(("stock",), 5 * MINUTE, "wms"),
        ),
        ("{not_consumed: any, within: 5m}", NotConsumed((), 5 * MINUTE)),
        ("{queue_age: [stock], over: 10m}", NotConsumed(("stock",), 10 * MINUTE)),
        ("{volume_of: a.b, below: 30}", Volume(("a.b",), 0.3)),
        (
            "{volume_of: [a.b, c.d], below: 0, service: shop, weeks: 2, least: 50}",
            Volume(("a.b", "c.d"), 0.0, "shop", 2, 50),
        ),
        ("{promise_at_risk: promised_at, chance: 70}", PromiseAtRisk("promised_at", 0.7)),
        ("stage_at_risk: any", StageAtRisk()),
        ("{stage_at_risk: picking, chance: 80, least: 100}", StageAtRisk(("picking",), 0.8, 100)),
        ("{stage_at_risk: any, ahead: 4h}", StageAtRisk(ahead=4 * HOUR)),
        ("{promise_at_risk: promised_at, ahead: 2d}", PromiseAtRisk("promised_at", ahead=2 * DAY)),
        ("logs_missing: {silent_after: 20m}", LogsMissing(20 * MINUTE)),
        ("logs_missing: {}", LogsMissing(10 * MINUTE)),
    ],
)
def test_each_condition_is_read(when: str, condition: Condition) -> None:
    playbook, problems = read(SOUND.replace(WHEN, f"when:\n  {when}\n"))
    assert problems == []
    assert playbook is not None
    assert playbook.condition == condition


def test_the_time_scale_divides_every_duration_and_the_default_ones() -> None:
    playbook, _ = read(SOUND.replace("reopen_within: 1d\n", ""), time_scale=3600)
    assert playbook is not None
    assert playbook.condition.within == (HOUR + 30 * MINUTE) // 3600
    assert playbook.reopen_within == HOUR // 3600
    missing, _ = read(SOUND.replace(WHEN, "when: {logs_missing: {}}\n"), time_scale=600)
    assert missing is not None
    assert missing.condition == LogsMissing(MINUTE // 60)


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "fix"),
    [
        (
            "playbook: late_refill",
            "playbook: Late Refill",
            "playbook: Late Refill",
            "has not the form",
            "paid_not",
        ),
        (
            "severity: warning",
            "severity: critcal",
            "severity: critcal",
            "“critcal” is not known",
            "“critical”",
        ),
        ("severity: warning", "severity: 1", "severity: 1", "a text is needed", "critical, warning, info"),
        ("severity: warning\n", "", "playbook: late_refill", "“severity” is missing", "add severity"),
        (
            "owner: stores\nstage",
            "ownr: stores\nstage",
            "ownr: stores",
            "not a field",
            "did you mean “owner”?",
        ),
        ("version: 2", "name: x", "name: x", "not a field", "the value of “playbook”"),
        ("version: 2", "version: true", "version: true", "a whole number", "from 1"),
        (
            "verdict: {en: late, zh: 延误}",
            "verdict: {en: late}",
            "verdict: {en: late}",
            "“zh” is missing",
            "add zh",
        ),
        (
            "verdict: {en: late, zh: 延误}",
            'verdict: {en: late, zh: ""}',
            'verdict: {en: late, zh: ""}',
            "empty",
            "write it",
        ),
        (
            "en: late,",
            f"en: {'x' * 81},",
            f"verdict: {{en: {'x' * 81}, zh: 延误}}",
            "81 characters",
            "within 80",
        ),
        (
            "en: It is late.",
            f"en: {'x' * 501}",
            f"  summary: {{en: {'x' * 501}, zh: 延误了。}}",
            "501",
            "within 500",
        ),
        ("within: 1h30m", "within: 0s", "  within: 0s", "a duration of zero", "2h"),
        ("within: 1h30m", "within: 12:30", "  within: 12:30", "“12:30” is not a duration", "2h"),
        ("within: 1h30m", "within: 90", "  within: 90", "a duration is needed, this is a number", "its unit"),
        ("  within: 1h30m\n", "", "when:", "“within” is missing", "add within"),
        ("  happened: wms.received\n", "", "when:", "“happened” is missing", "add happened"),
        ("  happened: wms", "  hapened: wms", "  hapened: wms.received", "not a field", "“happened”"),
        (
            "[wms.picked, wms.packed]",
            "wms.received",
            "  but_not: wms.received",
            "also what should follow",
            "another",
        ),
        ("[wms.picked, wms.packed]", "[]", "  but_not: []", "an empty list", "at least 1"),
        ("[wms.picked, wms.packed]", "{a: b}", "  but_not: {a: b}", "a list is needed", "[a, b]"),
        (
            "unless: order.cancelled",
            "unless: wms.received",
            "unless: wms.received",
            "excuses the order at once",
            "out of",
        ),
        ("unless: order.cancelled", "within: 2h", "within: 2h", "not a field", "under “when”"),
        ("group_by: [warehouse]", "group_by: labels.sku", "group_by: labels.sku", "full name", "alone: sku"),
        ("group_by: [warehouse]", "group_by: [sku, sku]", "group_by: [sku, sku]", "here twice", "keep one"),
        ("group_by: [warehouse]", "group_by: order_id", "group_by: order_id", "for each order", "warehouse"),
        (
            "depends_on: paid",
            "depends_on: late_refill #",
            "depends_on: late_refill #_not_reserved",
            "itself",
            "others",
        ),
        ("    - do: {en: Ask., zh: 询问。}", "    - ask", "    - ask", "fields are needed", "do"),
        ("kind: ticket", "kind: repair", "  - kind: repair", "“repair” is not known", "manual_review"),
        (
            "  over_when: {en: It is there., zh: 已到货。}\n",
            "",
            "guide:",
            "“over_when” is missing",
            "add over_when",
        ),
        ("when:\n", "when: []\nwhat:\n", "what:", "not a field", "the fields here are"),
        (WHEN, "when: soon\n", "when: soon", "a condition is needed", "happened, stage_overdue"),
        (WHEN, "when: {stage_overdu: any}\n", "when: {stage_overdu: any}", "not known", "“stage_overdue”"),
        (
            WHEN,
            "when:\n  stage_overdue: any\n  logs_missing: {}\n",
            "  logs_missing: {}",
            "two conditions at once",
            "a playbook of each",
        ),
        (
            WHEN,
            "when:\n  stage_overdue: [any, picking]\n",
            "  stage_overdue: [any, picking]",
            "beside other stages",
            "any alone",
        ),
        (
            WHEN,
            "when:\n  count_of: a.b\n  at_least: 0\n  window: 1h\n",
            "  at_least: 0",
            "out of range",
            "from 1",
        ),
        (
            WHEN,
            "when:\n  count_of: a.b\n  at_least: 2\n  window: 1h\n  until: a.b\n",
            "  until: a.b",
            "also resolves it",
            "another event",
        ),
        (
            WHEN,
            "when:\n  after: a.b\n  all_of: [c.d, a.b]\n  within: 1h\n",
            "  all_of: [c.d, a.b]",
            "also what should follow",
            "another event",
        ),
        (
            WHEN,
            "when:\n  after: a.b\n  none_of: a.b\n  within: 1h\n",
            "  none_of: a.b",
            "also what may not follow",
            "another event",
        ),
        (
            WHEN,
            "when:\n  after: a.b\n  all_of: c.d\n  none_of: e.f\n  within: 1h\n",
            "  none_of: e.f",
            "two conditions at once",
            "a playbook of each",
        ),
        (
            WHEN,
            "when:\n  status_differs: [wms]\n  for: 1h\n",
            "  status_differs: [wms]",
            "a list of 1",
            "at least 2",
        ),
        (
            WHEN,
            "when:\n  status_differs: [wms, shop, payment]\n  for: 1h\n",
            "  status_differs: [wms, shop, payment]",
            "a list of 3",
            "at most 2",
        ),
        (
            WHEN,
            "when:\n  status_differs: [wms, wms]\n  for: 1h\n",
            "  status_differs: [wms, wms]",
            "“wms” twice",
            "two different",
        ),
        (
            WHEN,
            "when:\n  status_differs: [wms, shop]\n  for: 1h\n"
            "  equivalent:\n    sent: [OUT]\n    gone: [OUT]\n",
            "    gone: [OUT]",
            "means both “sent” and “gone”",
            "keep one",
        ),
        (
            WHEN,
            "when:\n  not_consumed: [stock, any]\n  within: 1h\n",
            "  not_consumed: [stock, any]",
            "beside other destinations",
            "any alone",
        ),
        (
            WHEN,
            "when:\n  steps:\n    - {event: a.b, within: 1h}\n    - {event: c.d, within: 1h}\n",
            "    - {event: a.b, within: 1h}",
            "the first step starts the clock",
            "remove",
        ),
        (
            WHEN,
            "when:\n  steps:\n    - {event: a.b}\n    - {event: c.d}\n",
            "    - {event: c.d}",
            "“within” is missing",
            "add within",
        ),
        (
            WHEN,
            "when:\n  steps:\n    - {event: a.b}\n    - {event: a.b, within: 1h}\n",
            "    - {event: a.b, within: 1h}",
            "the step before it too",
            "another event",
        ),
        (WHEN, "when:\n  steps: [{event: a.b}]\n", "  steps: [{event: a.b}]", "a list of 1", "at least 2"),
        (
            WHEN,
            "when:\n  sequence: [a.b, c.d]\n  within: 1h\n  until: c.d\n",
            "  until: c.d",
            "also resolves it",
            "another event",
        ),
        (
            "  - {to: critical, count: 50}",
            "  - {to: info, count: 50}",
            "  - {to: info, count: 50}",
            "no louder than",
            "name a louder one",
        ),
        (
            "  - {to: critical, count: 50}",
            "  - {to: critical}",
            "  - {to: critical}",
            "nothing that makes",
            "count",
        ),
        (
            "amount: 1e5, currency: CNY, age: 4h",
            "amount: 1e5, age: 4h",
            "  - {to: critical, amount: 1e5, age: 4h}",
            "“currency” is missing",
            "CNY",
        ),
        (
            "where: {channel: [app, web]}",
            "where: {labels.channel: [app, web]}",
            "where: {labels.channel: [app, web]}",
            "full name",
            "alone: channel",
        ),
        (
            "until: order.placed}]",
            "until: order.cancelled}]",
            "pauses: [{from: order.cancelled, until: order.cancelled}]",
            "both begins and ends",
            "another event",
        ),
        (
            WHEN,
            "when:\n  after: order.cancelled\n  none_of: c.d\n  within: 1h\n",
            "unless: order.cancelled",
            "excuses the order at once",
            "out of",
        ),
    ],
)
def test_each_mistake_has_its_line_and_a_way_out(
    old: str, new: str, line: str, message: str, fix: str
) -> None:
    assert old in SOUND
    text = SOUND.replace(old, new, 1)
    problems = read(text)[1]
    problem = next(p for p in problems if message in p.message)
    assert len(problems) == (2 if "what:" in new else 1)
    assert problem.text == line
    assert text.splitlines()[problem.line - 1] == line
    assert fix in problem.fix


def test_a_file_that_is_no_mapping_is_told() -> None:
    (problem,) = read("- playbook\n")[1]
    assert "fields are needed" in problem.message


RECORDS: list[Record] = [
    *(PLAYBOOK, GUIDE, STEP, PROPOSED_ACTION, ESCALATION, condition_forms.STEP),
    *(BRANCH, CAUSE, QUESTION),
    *(form.record for form in FORMS.values()),
]


@pytest.mark.parametrize("name", sorted({field.name for record in RECORDS for field in record.fields}))
def test_every_field_of_a_playbook_is_documented(name: str) -> None:
    assert any(f"`{name}`" in page.read_text(encoding="utf-8") for page in DOCS.glob("playbooks*.md"))
