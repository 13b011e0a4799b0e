"""The YAML form of a playbook's own tests: a small timeline, and what has to come of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ordertrace_rules.event import OUTCOMES
from ordertrace_rules.fields import (
    ACTION,
    ID,
    NAME,
    SERVICE,
    Duration,
    Factor,
    Field,
    Listing,
    Reading,
    Record,
    Schema,
    String,
    Table,
    Whole,
)
from ordertrace_rules.times import NS, parse_instant
from ordertrace_rules.trial import NOBODY, Expected, Told, Trial
from ordertrace_rules.vocabulary import SEVERITIES
from ordertrace_rules.yamlfile import NodePath

NOTHING = "nothing"
_OFFSET = Duration(may_be_zero=True)
_INSTANT = String(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)", "2026-03-02T08:00:00Z"
)  # checked by `_check_start`
_ONLY = "SO-1"

TOLD = Record(
    (
        Field("at", _OFFSET, "when its clock says that it was, counted from the start", required=True),
        Field("event", ACTION, "what happened; a record may be without, such as one with a status alone"),
        Field("order", NAME, "the order, or the group of them, that it is of", default=_ONLY),
        Field("service", SERVICE, "who says it; else whom the process names for it"),
        Field("outcome", String(choices=OUTCOMES), "how it went", default="unknown"),
        Field("reason", NAME, "why it failed"),
        Field("message", NAME, "the text of the line"),
        Field("status", NAME, "the order's status as this system has it"),
        Field("amount", Factor(), "the order's amount"),
        Field("currency", NAME, "its currency"),
        Field("refs", Table(ID, NAME), "other ids: {payment_id: P-1}", default={}),
        Field("labels", Table(NAME, NAME), "what it is of: {warehouse: W1}", default={}),
        Field("message_id", NAME, "of a message that was published, consumed or failed"),
        Field("destination", NAME, "the queue or topic of the message"),
        Field("consumer_group", NAME, "who consumed the message"),
        Field("instance", NAME, "which instance of the service says it"),
        Field("every", Duration(), "it is said again after so long"),
        Field("times", Whole(least=1, most=100_000), "and so often in all", default=1),
        Field("arrives", _OFFSET, "when it arrives, counted from the start; else when it was"),
    )
)

EXPECTED = Record(
    (
        Field(
            "subject", NAME, "the order, group of orders, return, service … that it is said of", default=_ONLY
        ),
        Field(
            "state",
            String(choices=("open", "resolved", "withdrawn")),
            "how it stands at the end",
            default="open",
        ),
        Field("opened", _OFFSET, "when it opened, counted from the start"),
        Field("resolved", _OFFSET, "when it was over, counted from the start"),
        Field("certainty", String(choices=("firm", "unverified")), "how sure it is"),
        Field("severity", String(choices=SEVERITIES), "of its incident"),
        Field("cause", ID, "the cause to which “diagnose” leads, of its incident"),
        Field("suspect", SERVICE, "the service that the comparison names as the cause, of its incident"),
        Field("cases", Whole(least=1, most=1000), "how many cases of this subject stand so", default=1),
    ),
    hints={"order": "did you mean “subject”?"},
)


@dataclass(frozen=True, slots=True)
class Expectation:
    """`nothing`, one record, or several."""

    def read(self, value: Any, path: NodePath, reading: Reading) -> tuple[Any, ...] | None:
        if value == NOTHING:
            return ()
        if isinstance(value, str):
            said = f"“{value[:40]}” is no expectation"
            reading.problem(path, said, f"write {NOTHING}, or {{state: open, opened: 2h}}")
            return None
        if isinstance(value, dict):
            return (EXPECTED.read(value, path, reading),)
        return Listing(EXPECTED, least=1).read(value, path, reading)

    def schema(self) -> Schema:
        one = EXPECTED.schema()
        return {"anyOf": [{"const": NOTHING}, one, {"type": "array", "items": one, "minItems": 1}]}


TRIAL = Record(
    (
        Field("name", String(longest=120), "what it shows, as a fact", required=True),
        Field("start", _INSTANT, "when it begins", default="2026-03-02T00:00:00Z"),
        Field(
            "orders",
            Table(NAME, Whole(least=1, most=10_000)),
            "how many orders a name stands for",
            default={},
        ),
        Field("events", Listing(TOLD, least=1, most=1000), "what is said", required=True),
        Field("until", _OFFSET, "when the clock stops; else with the last arrival"),
        Field(
            "completeness",
            String(choices=("file", "heartbeat", "activity")),
            "by what is judged whether all records are here; “file”: these are all there are",
            default="file",
        ),
        Field(
            "expect", Expectation(), "what has to be said at the end: all of it, and no more", required=True
        ),
    )
)


@dataclass(frozen=True, slots=True)
class OnLine:
    """A record that remembers where it stands: a test that fails is shown with its line."""

    record: Record

    def read(self, value: Any, path: NodePath, reading: Reading) -> dict[str, Any] | None:
        fields = self.record.read(value, path, reading)
        return None if fields is None else fields | {"line": reading.document.line(path)}

    def schema(self) -> Schema:
        return self.record.schema()


TRIALS = Listing(OnLine(TRIAL), most=200)


def build_trials(trials: Iterable[Mapping[str, Any]]) -> tuple[Trial, ...]:
    """The tests that fields without mistakes mean."""
    return tuple(
        Trial(
            name=values["name"],
            line=values["line"],
            start=parse_instant(values["start"]),
            orders=values["orders"],
            events=tuple(_told(event) for event in values["events"]),
            until=values["until"],
            completeness=values["completeness"],
            expected=tuple(_expected(each) for each in values["expect"]),
        )
        for values in trials
    )


def _told(values: Mapping[str, Any]) -> Told:
    texts = ("event", "service", "reason", "message", "status", "currency")
    texts += ("message_id", "destination", "consumer_group", "instance")
    return Told(
        **{name: values[name] or "" for name in texts},
        **{name: values[name] for name in ("at", "outcome", "amount", "refs", "labels", "times", "arrives")},
        order="" if values["order"] == NOBODY else values["order"],
        every=values["every"] or 0,
    )


def _expected(values: Mapping[str, Any]) -> Expected:
    texts = ("certainty", "severity", "cause", "suspect")
    return Expected(
        **{name: values[name] or "" for name in texts},
        **{name: values[name] for name in ("subject", "state", "opened", "resolved", "cases")},
    )


def check_trials(trials: Iterable[Mapping[str, Any] | None], reading: Reading) -> None:
    """Mistakes that lie between the fields of a test."""
    names: dict[str, int] = {}
    for index, trial in enumerate(trials):
        if trial is None:
            continue
        path: NodePath = ("tests", index)
        name = trial.get("name") or ""
        if name in names:
            reading.problem((*path, "name"), "two tests of one name", f"the other is on line {names[name]}")
        elif name:
            names[name] = trial["line"]
        _check_start(trial.get("start"), path, reading)
        for place, event in enumerate(trial.get("events") or ()):
            if event is not None and event.get("times", 1) not in (None, 1) and event.get("every", 0) is None:
                said = "said several times, and not after how long"
                reading.problem((*path, "events", place, "times"), said, "add every: 1m", at_key=True)
            if event is not None and all(
                event.get(each, "") is None for each in ("event", "status", "message")
            ):
                fix = "add event: payment.captured, or a status or message"
                reading.problem((*path, "events", place), "a record that says nothing", fix)


def trial_actions(trials: Iterable[Mapping[str, Any] | None]) -> list[tuple[NodePath, str]]:
    """The event actions that tests speak of, with the place of each."""
    return [
        (("tests", index, "events", place, "event"), event["event"])
        for index, trial in enumerate(trials)
        for place, event in enumerate((trial or {}).get("events") or ())
        if event is not None and event.get("event")
    ]


def _check_start(start: str | None, path: NodePath, reading: Reading) -> None:
    try:
        if start is not None and parse_instant(start) < NS:
            reading.problem((*path, "start"), f"“{start}” is too early", "name a day of these years")
    except ValueError:
        fix = "write it like 2026-03-02T08:00:00Z"
        reading.problem((*path, "start"), f"there is no such time as “{start}”", fix)
