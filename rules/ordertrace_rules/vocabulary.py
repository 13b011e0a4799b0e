"""What the rooms hand to each other: frozen data, no behaviour beyond reading itself.

Instants and durations are nanoseconds (see `times`). A `Text` holds one sentence in each language.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ordertrace_rules.calendar import Calendar
from ordertrace_rules.times import HOUR
from ordertrace_rules.trial import Trial
from ordertrace_rules.verdict import Branch

Text = Mapping[str, str]
"""A sentence by language: {"en": …, "zh": …}. `en` is always there."""

LANGUAGES = ("en", "zh")

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")  # the loudest first
Certainty = Literal["firm", "unverified"]
StageStatus = Literal["waiting", "running", "done", "failed", "skipped"]
MemberStatus = Literal["open", "resolved", "withdrawn"]
IncidentStatus = Literal["open", "acknowledged", "resolved", "withdrawn"]
TransitionKind = Literal[
    "opened",
    "grown",
    "cause_changed",
    "verified",
    "escalated",
    "acknowledged",
    "reopened",
    "resolved",
    "withdrawn",
]


FeedbackVerdict = Literal["right", "wrong_cause", "not_a_problem"]
FEEDBACK_VERDICTS: tuple[FeedbackVerdict, ...] = ("right", "wrong_cause", "not_a_problem")


def in_language(text: Text, language: str) -> str:
    """The sentence in `language`, else in English."""
    return text.get(language) or text.get("en") or next(iter(text.values()), "")


# --- processes -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pause:
    """While it holds, from any of `begins` to the next of `ends`, the target of a stage stands still."""

    begins: tuple[str, ...]
    ends: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """One leg of an order's way: from the first event in `starts` to the first in `ends`."""

    id: str
    title: Text
    starts: tuple[str, ...]  # event actions, any of which
    ends: tuple[str, ...]
    fails: tuple[str, ...] = ()
    services: tuple[str, ...] = ()  # who emits its end
    target: int | None = None  # how long it may take, of working time where there is a calendar
    warning: int | None = None
    owner: str = ""
    waiting_title: Text = field(default_factory=dict[str, str])  # "waiting for outbound"
    calendar: Calendar | None = None  # around the clock without one
    pauses: tuple[Pause, ...] = ()
    per: str = ""  # the kind of ref, such as shipment_id, for each of whose values it is folded by itself
    complete: Literal["all", "any"] = "all"  # of those that began


@dataclass(frozen=True, slots=True)
class Process:
    """The way that a subject goes. `subject` is "order" or the kind of a ref, such as "rma_id"."""

    id: str
    version: int
    subject: str
    title: Text
    stages: tuple[Stage, ...]
    ends: tuple[str, ...]  # event actions that end it, whatever stage it is in
    calls: tuple[tuple[str, str], ...] = ()  # (caller, callee)
    emits: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict[str, tuple[str, ...]]
    )  # action -> services
    subscribers: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    file: str = ""

    def stage(self, stage_id: str) -> Stage | None:
        return next((s for s in self.stages if s.id == stage_id), None)

    def emitters(self, action: str) -> tuple[str, ...]:
        """The services that the process says emit `action`; empty where it does not say."""
        named = self.emits.get(action, ())
        of_stages = [s.services for s in self.stages if action in s.ends or action in s.fails]
        return tuple(dict.fromkeys((*named, *(service for services in of_stages for service in services))))


# --- journeys --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StagePart:
    """A stage as one parcel goes through it. `id` is the value of the stage's `per`."""

    id: str
    state: StageStatus
    started_at: int | None = None
    ended_at: int | None = None
    deadline: int | None = None
    early: int = 0


@dataclass(frozen=True, slots=True)
class StageState:
    """Where a subject stands in a stage. With parcels the deadline is that of the first which is not done; of a
    stage that is done, the first that was missed, if one was.

    `early` is by how much (ns) its end bears an earlier time than its start: clocks differ, and it is taken to have
    lasted no time."""

    id: str
    state: StageStatus
    started_at: int | None = None
    ended_at: int | None = None
    deadline: int | None = None  # when the target is used up; none while it is paused
    parts: tuple[StagePart, ...] = ()
    early: int = 0

    def overdue(self, now: int) -> bool:
        """Over its target: still running past it, failed and not mended by then, or ended after it."""
        if self.deadline is None or self.state in ("waiting", "skipped"):
            return False
        return (self.ended_at if self.state == "done" and self.ended_at is not None else now) > self.deadline


@dataclass(frozen=True, slots=True)
class LastWord:
    """The last thing that a service said of a subject."""

    timestamp: int
    event_id: str
    action: str
    outcome: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Journey:
    """One subject's way through one process, folded from all its events."""

    process: str
    subject: str
    order_ids: tuple[str, ...]
    stages: tuple[StageState, ...]
    current_stage: str = ""  # the stage it stands in; empty once ended or before it began
    started_at: int | None = None
    last_event_at: int | None = None
    ended_at: int | None = None
    ended_by: str = ""  # the action that ended the process
    next_deadline: int | None = None  # when something may become due without a new event
    status_by_service: Mapping[str, str] = field(default_factory=dict[str, str])
    refs: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    amount: float | None = None
    currency: str = ""
    last_words: Mapping[str, LastWord] = field(default_factory=dict[str, LastWord])
    event_count: int = 0
    set_aside: str = ""  # why it is not judged, such as "too_many_events"
    known_since: Mapping[str, int] = field(default_factory=dict[str, int])
    """Since when, on our own clock, each of its `finished` parts has been known as it is: for those who tell others."""

    @property
    def id(self) -> str:
        return f"{self.process}:{self.subject}"

    def stage(self, stage_id: str) -> StageState | None:
        return next((s for s in self.stages if s.id == stage_id), None)


# --- aliases ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Binding:
    """What an event taught: this key led to that one, first seen at `since`.

    A key is `order:SO-1`, `trace:<32 hex>` or `<kind>:<value>`, such as `payment_id:P-7`. `target` is an
    order's key, or another ref through which it leads on. Two issuers may give the same value: `issuer` is
    the carrier, the gateway …, empty where the event did not say.
    """

    key: str
    target: str
    since: int
    issuer: str = ""

    @property
    def id(self) -> str:
        return f"{self.key}>{self.target}@{self.issuer}"


# --- playbooks -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    do: Text
    owner: str = ""


@dataclass(frozen=True, slots=True)
class ProposedAction:
    """What a person may approve: `kind` is manual_review | notify_customer | ticket | degrade.

    A `safe` one may be done without asking, where a site lets safe ones be.
    """

    kind: str
    title: Text
    safe: bool = False


@dataclass(frozen=True, slots=True)
class KnownCause:
    """A cause that a playbook's author knows by name: what to do then, in place of the playbook's own steps."""

    id: str
    title: Text
    steps: tuple[Step, ...]
    owner: str = ""
    avoid: tuple[Text, ...] = ()
    over_when: Text = field(default_factory=dict[str, str])
    actions: tuple[ProposedAction, ...] = ()


@dataclass(frozen=True, slots=True)
class Escalation:
    """What makes an incident louder: all that is not 0 or empty has to hold."""

    to: Severity
    count: int = 0  # of open members
    amount: float = 0.0  # of open members, in `currency`
    currency: str = ""
    age: int = 0  # since the clock of its first member started


@dataclass(frozen=True, slots=True)
class GuideText:
    """What a playbook's author knows and no log can tell."""

    summary: Text = field(default_factory=dict[str, str])
    steps: tuple[Step, ...] = ()
    avoid: tuple[Text, ...] = ()
    over_when: Text = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Playbook:
    """A diagnostic playbook as loaded. `condition` is one of the classes in `ordertrace_rules.conditions`."""

    id: str
    version: int
    title: Text
    verdict: Text
    process: str
    severity: Severity
    condition: Any
    stage: str = ""  # the stage whose healthy orders are the baseline
    unless: tuple[str, ...] = ()  # event actions that excuse the subject
    depends_on: tuple[str, ...] = ()  # playbooks that, open for the same subject, explain this one
    group_by: tuple[str, ...] = ()  # label names, or the event field `currency`, in the incident's identity
    reopen_within: int = HOUR
    owner: str = ""
    suspects: tuple[
        str, ...
    ] = ()  # services that people accuse first: the guide always says of them what it knows
    guide: GuideText = field(default_factory=GuideText)
    actions: tuple[ProposedAction, ...] = ()
    escalations: tuple[Escalation, ...] = ()
    where: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict[str, tuple[str, ...]]
    )  # label -> any of
    where_not: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    calendar: Calendar | None = None  # in which its deadlines count
    pauses: tuple[Pause, ...] = ()
    diagnose: tuple[Branch, ...] = ()  # the verdict tree, which leads to one of `causes`
    causes: Mapping[str, KnownCause] = field(default_factory=dict[str, KnownCause])
    tests: tuple[Trial, ...] = ()
    file: str = ""


# --- incidents -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Member:
    """A subject's membership in an incident: a record of its own, written before the incident is."""

    playbook: str
    group: str  # the incident's group, as `group_key` writes it; empty without group_by
    subject: str  # an order id, a ref, or a service name
    occurrence: str = ""  # tells two memberships of one subject apart: a stage, a gap's beginning
    incident: str = ""  # empty until phase 2 has assigned it
    order_ids: tuple[str, ...] = ()
    state: MemberStatus = "open"
    certainty: Certainty = "firm"
    since: int = 0  # when the clock started: the first A
    opened_at: int = 0  # A + T
    detected_at: int = 0  # when the engine knew
    resolved_at: int | None = None  # the time of the event that ended it
    withdrawn_at: int | None = None  # when the engine knew that it had never been so
    missing: tuple[str, ...] = ()  # services whose logs would have to be complete for it to be firm
    assumed: bool = False  # firm by activity only
    stage: str = ""
    amount: float | None = None
    currency: str = ""
    evidence: tuple[str, ...] = ()  # event ids
    figures: Mapping[str, float] = field(
        default_factory=dict[str, float]
    )  # of a volume: its count, and the usual
    explained_by: str = ""  # the incident that explains this one
    settled: bool = False  # phase 2 has counted it in this state

    @property
    def id(self) -> str:
        return f"{self.playbook}|{self.group}|{self.subject}|{self.occurrence}"


@dataclass(frozen=True, slots=True)
class Transition:
    """A step in an incident's life that is not yet relayed to alerting."""

    number: int
    kind: TransitionKind
    at: int
    note: str = ""


ActionState = Literal["approved", "declined", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Action:
    """What was decided on a proposed action, and what became of it."""

    id: str  # with the incident's: the key under which it is executed once
    kind: str
    title: Text
    state: ActionState
    by: str
    at: int
    automatic: bool = False  # approved by ordertrace itself, as the site lets it with safe ones
    count: int = 0  # open members when it was approved
    finished_at: int | None = None
    result: str = ""  # of the latest attempt


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person said of an incident: `cause` is the service that it was, where the guide named another."""

    verdict: FeedbackVerdict
    by: str
    at: int
    cause: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    id: str
    playbook: str
    playbook_version: int
    group: str
    episode: int
    severity: Severity
    state: IncidentStatus
    certainty: Certainty
    opened_at: int
    detected_at: int
    resolved_at: int | None = None
    updated_at: int = 0
    open_count: int = 0
    resolved_count: int = 0
    withdrawn_count: int = 0
    amounts: Mapping[str, float] = field(default_factory=dict[str, float])  # of open members, by currency
    since: int = 0  # the earliest `since` of its members
    announced: bool = False  # an opening transition has been made
    announced_count: int = 0  # the most open members that a transition has told of since it opened
    announced_firm: bool = False  # a transition since it opened has told that it is firm
    missing: tuple[str, ...] = ()
    assumed: bool = False
    explained_by: str = ""
    acknowledged_by: str = ""
    acknowledged_at: int | None = None
    diagnosis: "Diagnosis | None" = None
    diagnosed_at: int | None = None
    diagnosed_count: int = 0  # open members when it was diagnosed
    proposals: tuple[ProposedAction, ...] = ()  # what a person may approve now
    actions: tuple[Action, ...] = ()  # decided on, the latest last
    feedback: tuple[Feedback, ...] = ()  # one of each person, the latest last
    transitions: tuple[Transition, ...] = ()  # not yet relayed
    next_transition: int = 1

    @property
    def is_open(self) -> bool:
        return self.state in ("open", "acknowledged")


# --- diagnosis -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Count:
    """`k` of `n`."""

    k: int
    n: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a service is suspected: what vanished or appeared, how often on each side, and the very lines."""

    affected: Count
    healthy: Count
    what: Text
    examples: tuple[str, ...] = ()  # log lines, at most two


@dataclass(frozen=True, slots=True)
class Suspect:
    service: str
    score: float  # the gap between the two Wilson intervals, 0 to 1; negative where they overlap
    above_noise: bool
    kind: Literal["succession", "latency", "new_error", "attribute"]
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Cleared:
    """A service with enough observations and no contrast."""

    service: str
    observations: int
    note: Text = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Cause:
    service: str
    summary: Text
    confidence: float  # 0 to 1


@dataclass(frozen=True, slots=True)
class ServiceWord:
    """What a service said last of the affected orders: `k` of `n` of them ended on this line."""

    service: str
    action: str
    outcome: str
    reason: str
    count: Count
    example: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    verdict: Literal["localised", "no_localised_cause", "no_baseline"]
    affected: int  # subjects looked at, after sampling
    healthy: int
    suspects: tuple[Suspect, ...] = ()
    cleared: tuple[Cleared, ...] = ()
    cause: Cause | None = None
    stopped_at: Mapping[str, int] = field(
        default_factory=dict[str, int]
    )  # stage -> affected orders standing there
    last_words: tuple[ServiceWord, ...] = ()
    sampled: str = ""  # says what was left out, empty if nothing
    known_cause: str = ""  # of the playbook's `causes`, where its verdict tree led to one
    because: tuple[Evidence, ...] = ()  # the answers that led there


# --- guides ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence of a guide, with the record behind it where there is one."""

    text: Text
    owner: str = ""
    href: str = ""
    log_lines: tuple[str, ...] = ()  # raw lines: pages show them, chat only where the site opts in
    aside: bool = False  # a page folds it away behind the others of its section


@dataclass(frozen=True, slots=True)
class Section:
    """`id` is happened | evidence | cause | cleared | steps | actions | avoid | over_when | unknown |
    orders."""

    id: str
    title: Text
    lines: tuple[Line, ...]
    numbered: bool = False


@dataclass(frozen=True, slots=True)
class Guide:
    """The troubleshooting guide, before it is rendered for anybody."""

    incident: str
    playbook: str
    title: Text
    severity: Severity
    state: IncidentStatus
    certainty: Certainty
    made_at: int
    sections: tuple[Section, ...]
    url: str = ""
