"""Each condition as it is written under a playbook's `when`, by the field that it begins with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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
from ordertrace_rules.conditions.steps import Step, Steps
from ordertrace_rules.conditions.vocabulary import Condition
from ordertrace_rules.conditions.volume import Volume
from ordertrace_rules.fields import (
    ACTION,
    ID,
    NAME,
    SERVICE,
    Duration,
    Field,
    Flag,
    Listing,
    Record,
    String,
    Table,
    Whole,
)

ANY = "any"
_ACTIONS = Listing(ACTION, single=True, least=1)
_AFTER = Field("after", _ACTIONS, "the events the first of which starts the clock", required=True)
_WITHIN = Field("within", Duration(), "how long it may take", required=True)
_UNTIL = Field("until", Listing(ACTION, single=True), "the events that resolve it", default=[])
_AT_LEAST = Field("at_least", Whole(least=1, most=10_000), "how many are too many", required=True)
_WINDOW = Field("window", Duration(), "the time within which they are counted", required=True)
_SUBSCRIBER = Field(
    "subscriber",
    NAME,
    "the consumer group, or the service, that has to consume them; "
    "else those under “subscribers” of the process",
)
_CHANCE = Field(
    "chance",
    Whole(least=1, most=99),
    "how many of those that stood there as long were late in the end, in percent",
    default=50,
)
_LEAST = Field("least", Whole(least=20, most=1000), "how many passages have to be known", default=50)
_AHEAD = Field(
    "ahead", Duration(), "how long before it is due it may be told at the earliest; else as soon as seen"
)
_PERCENT = Whole(least=0, most=90)
_REF = String(r"[a-z][a-z0-9_]{0,59}", "payment_id")

STEP = Record(
    (
        Field("event", _ACTIONS, "the events any of which is this step", required=True),
        Field("within", Duration(), "how long after the step before it may come; not for the first"),
    )
)


@dataclass(frozen=True, slots=True)
class Form:
    """How one condition is written, and what its fields become."""

    record: Record
    build: Callable[[Mapping[str, Any]], Condition]


FORMS: Mapping[str, Form] = {
    "happened": Form(
        Record(
            (
                Field("happened", _ACTIONS, "the events the first of which starts the clock", required=True),
                Field("but_not", _ACTIONS, "the events any of which was to follow", required=True),
                _WITHIN,
            )
        ),
        lambda v: HappenedButNot(v["happened"], v["but_not"], v["within"]),
    ),
    "stage_overdue": Form(
        Record(
            (
                Field(
                    "stage_overdue",
                    Listing(ID, single=True, least=1),
                    "the stages that are judged against their target, or any",
                    required=True,
                ),
            )
        ),
        lambda v: StageOverdue(_unless_any(v["stage_overdue"])),
    ),
    "stage_at_risk": Form(
        Record(
            (
                Field(
                    "stage_at_risk",
                    Listing(ID, single=True, least=1),
                    "the stages whose target is about to be missed, or any",
                    required=True,
                ),
                _CHANCE,
                _LEAST,
                _AHEAD,
            )
        ),
        lambda v: StageAtRisk(_unless_any(v["stage_at_risk"]), v["chance"] / 100, v["least"], v["ahead"]),
    ),
    "promise_at_risk": Form(
        Record(
            (
                Field(
                    "promise_at_risk",
                    NAME,
                    "the label that holds the date (RFC 3339) promised",
                    required=True,
                ),
                _CHANCE,
                _LEAST,
                _AHEAD,
            )
        ),
        lambda v: PromiseAtRisk(v["promise_at_risk"], v["chance"] / 100, v["least"], v["ahead"]),
    ),
    "count_of": Form(
        Record(
            (
                Field("count_of", _ACTIONS, "the events that are counted", required=True),
                _AT_LEAST,
                _WINDOW,
                _UNTIL,
                Field("distinct", _REF, "the ref, each value of which counts once: payment_id"),
            )
        ),
        lambda v: CountInWindow(v["count_of"], v["at_least"], v["window"], v["until"], v["distinct"] or ""),
    ),
    "failures_of": Form(
        Record(
            (
                Field(
                    "failures_of", _ACTIONS, "the events of what is tried, with either outcome", required=True
                ),
                _AT_LEAST,
                _WINDOW,
                Field(
                    "until",
                    Listing(ACTION, single=True),
                    "further events by which it succeeded: the count begins anew",
                    default=[],
                ),
            )
        ),
        lambda v: RepeatedFailures(v["failures_of"], v["at_least"], v["window"], v["until"]),
    ),
    "steps": Form(
        Record(
            (
                Field(
                    "steps",
                    Listing(STEP, least=2, most=20),
                    "what was to happen, one after another; the first starts the clock",
                    required=True,
                ),
            )
        ),
        lambda v: Steps(tuple(Step(s["event"], s["within"] or 0) for s in v["steps"])),
    ),
    "sequence": Form(
        Record(
            (
                Field(
                    "sequence",
                    Listing(ACTION, least=2, most=20),
                    "the events that may not come in this order",
                    required=True,
                ),
                Field("within", Duration(), "the time from the first to the last", required=True),
                _UNTIL,
            )
        ),
        lambda v: InSequence(v["sequence"], v["within"], v["until"]),
    ),
    "all_of": Form(
        Record(
            (
                _AFTER,
                Field("all_of", _ACTIONS, "the events all of which were to follow", required=True),
                _WITHIN,
            )
        ),
        lambda v: NotAll(v["after"], v["all_of"], v["within"]),
    ),
    "any_of": Form(  # as happened and but_not, for those who come from `all_of`
        Record(
            (
                _AFTER,
                Field("any_of", _ACTIONS, "the events one of which was to follow", required=True),
                _WITHIN,
            )
        ),
        lambda v: HappenedButNot(v["after"], v["any_of"], v["within"]),
    ),
    "none_of": Form(
        Record(
            (
                _AFTER,
                Field("none_of", _ACTIONS, "the events none of which may follow", required=True),
                Field("within", Duration(), "how long it may not happen", required=True),
                _UNTIL,
            )
        ),
        lambda v: ForbiddenAfter(v["after"], v["none_of"], v["within"], v["until"]),
    ),
    "status_differs": Form(
        Record(
            (
                Field(
                    "status_differs",
                    Listing(SERVICE, least=2, most=2),
                    "the two services whose last order.status is compared",
                    required=True,
                ),
                Field("for", Duration(), "how long they may differ", required=True),
                Field(
                    "equivalent",
                    Table(NAME, Listing(NAME, single=True, least=1)),
                    "a status, and the words of other systems that mean the same",
                    default={},
                ),
                Field(
                    "listed_only",
                    Flag(),
                    "whether a word that is not under “equivalent” says nothing",
                    default=False,
                ),
            )
        ),
        lambda v: StatusDiffers(v["status_differs"], v["for"], _meanings(v["equivalent"]), v["listed_only"]),
    ),
    "not_consumed": Form(
        Record(
            (
                Field(
                    "not_consumed",
                    Listing(NAME, single=True, least=1),
                    "the destinations whose published messages are followed, or any",
                    required=True,
                ),
                _SUBSCRIBER,
                _WITHIN,
            )
        ),
        lambda v: NotConsumed(_unless_any(v["not_consumed"]), v["within"], v["subscriber"] or ""),
    ),
    "queue_age": Form(
        Record(
            (
                Field(
                    "queue_age",
                    Listing(NAME, single=True, least=1),
                    "the destinations whose oldest message is looked at, or any",
                    required=True,
                ),
                _SUBSCRIBER,
                Field("over", Duration(), "how old the oldest message that waits may be", required=True),
            )
        ),
        lambda v: NotConsumed(_unless_any(v["queue_age"]), v["over"], v["subscriber"] or ""),
    ),
    "volume_of": Form(
        Record(
            (
                Field(
                    "volume_of", _ACTIONS, "the events that are counted by the hour, together", required=True
                ),
                Field(
                    "below",
                    _PERCENT,
                    "the percentage of the usual at which it is low; 0: nothing at all",
                    required=True,
                ),
                Field("service", SERVICE, "whose records are counted; else everybody's"),
                Field(
                    "weeks",
                    Whole(least=2, most=12),
                    "with so many earlier weeks the hour is compared",
                    default=4,
                ),
                Field(
                    "least",
                    Whole(least=20, most=1_000_000),
                    "where less is usual nothing is told",
                    default=20,
                ),
            )
        ),
        lambda v: Volume(v["volume_of"], v["below"] / 100, v["service"] or "", v["weeks"], v["least"]),
    ),
    "logs_missing": Form(
        Record(
            (
                Field(
                    "logs_missing",
                    Record(
                        (
                            Field(
                                "silent_after",
                                Duration(),
                                "how long a service may be silent without a goodbye",
                                default="10m",
                            ),
                        )
                    ),
                    "the logs of a service are missing; the subject is the service",
                    required=True,
                ),
            )
        ),
        lambda v: LogsMissing(v["logs_missing"]["silent_after"]),
    ),
}


def _meanings(groups: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {word: status for status, words in groups.items() for word in words}


def _unless_any(names: tuple[str, ...]) -> tuple[str, ...]:
    return () if names == (ANY,) else names
