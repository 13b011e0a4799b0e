"""What alerting understands: signals in, deliveries out. Instants are nanoseconds since the epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, TextIO

Status = Literal["firing", "resolved", "report"]


@dataclass(frozen=True, slots=True)
class Signal:
    """One step in the life of one incident, made by whoever watches. The same id twice is the same signal.

    `labels` are what routes match (incident, playbook, severity, owner, certainty …); `title` and `body` hold
    text by language ("en", "zh"), the body in Markdown; `raw_body` is the same with raw log lines, for targets
    that opted in; `payload` is JSON data for programs, such as the structured guide.
    """

    id: str  # "<incident>:<transition number>"
    incident: str
    number: int  # of the transition; a larger one is later
    kind: str  # opened | grown | cause_changed | verified | escalated | acknowledged | reopened | resolved | withdrawn
    status: Status
    at: int
    labels: Mapping[str, str]
    title: Mapping[str, str]
    body: Mapping[str, str]
    raw_body: Mapping[str, str] = field(default_factory=dict[str, str])
    url: str = ""
    payload: Mapping[str, object] = field(default_factory=dict[str, object])
    acknowledged: bool = False  # somebody has it in hand: it is not repeated, and nobody else is called
    about: str = ""  # the receiver that this is about: it is told to others

    @property
    def is_acknowledged(self) -> bool:
        return self.acknowledged or self.kind == "acknowledged"


def in_language(text: Mapping[str, str], language: str) -> str:
    """The text in `language`, else in English, else in any."""
    return text.get(language) or text.get("en") or next(iter(text.values()), "")


# --- targets ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What a target takes: in any window of `seconds` at most `count`, and in any second at most `per_second`."""

    count: int
    seconds: float
    per_second: int | None = None


class Sender(Protocol):
    """Turns notifications into messages of one target, and posts them. It never retries."""

    limit: ClassVar[RateLimit | None]
    """What its provider takes of one target; None where nothing is known. Senders state it, they do not wait."""

    def render(self, notification: "Notification") -> "tuple[Message, ...]":
        """The messages that tell it, in order. The same notification gives the same messages."""
        ...

    def send(self, delivery: "Delivery", now: int) -> "Result":
        """Post `delivery.body` once, with a time-out, and say what became of it; `now` is for signatures."""
        ...


class ReceiverOptions(Protocol):
    """What a receiver of one type was configured with."""

    def sender(self, stream: TextIO) -> Sender:
        """Its sender; `stream` is the terminal's."""
        ...


# --- groups ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """The latest signal of an incident that a group has put into a flush, and when."""

    signal: Signal
    at: int
    said: bool = True  # False: it was let go without a word

    @property
    def is_open(self) -> bool:
        """Whether somebody heard of its beginning and has yet to hear of its end."""
        return self.said and self.signal.status == "firing"


@dataclass(frozen=True, slots=True)
class Held:
    """A signal that is silenced, and when to look again."""

    signal: Signal
    until: int
    why: str
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class Flush:
    """What a group is about to say. Fixed before the first delivery is written, so that a crash repeats it."""

    number: int
    at: int
    signals: tuple[Signal, ...]
    repeat: bool = False
    to_digest: bool = False  # there is a storm: the receiver's digest says it


@dataclass(frozen=True, slots=True)
class Group:
    """Signals that are told together: those of one route with the same values of its `group_by` labels."""

    id: str
    receiver: str
    labels: Mapping[str, str]
    group_interval: int
    repeat_interval: int
    group_wait: int = 30_000_000_000
    delay: int = 0  # of an escalation: it tells what still fires, unacknowledged, so long after it came
    digest: bool = False  # gathers what a receiver is not told one by one in a storm
    pending: Mapping[str, Signal] = field(default_factory=dict[str, Signal])  # by incident, the latest
    news_due_at: int = 0  # when `pending` is to be told
    held: Mapping[str, Held] = field(default_factory=dict[str, Held])  # by incident
    flushing: Flush | None = None
    flushes: int = 0
    flushed_at: int | None = None
    told: Mapping[str, Told] = field(default_factory=dict[str, Told])  # by incident
    threads: Mapping[str, str] = field(default_factory=dict[str, str])  # by incident, what `Ok.reference` was

    @property
    def due_at(self) -> int | None:
        """When there is something to do for it; None where it sleeps until the next signal."""
        if self.flushing is not None:
            return self.flushing.at
        repeats = [told.at + self.repeat_interval for told in self.repeatable()]
        held = [held.until for held in self.held.values()]
        news = [self.news_due_at] if self.pending else []
        return min(news + held + repeats, default=None)

    def repeatable(self) -> list[Told]:
        """What is told again after `repeat_interval`: incidents that fire and that nobody has acknowledged."""
        return [
            told
            for incident, told in self.told.items()
            if told.is_open
            and not self.digest
            and not told.signal.is_acknowledged
            and incident not in self.pending
            and incident not in self.held
        ]

    def incidents(self) -> set[str]:
        """The incidents of which it has yet to tell the end. A digest leaves that to the groups it speaks for."""
        if self.digest:
            return set()
        return {*self.pending, *self.held, *(i for i, told in self.told.items() if told.is_open)}


@dataclass(frozen=True, slots=True)
class Notification:
    """What a sender renders: one flush of one group."""

    receiver: str
    labels: Mapping[str, str]  # of the group
    signals: tuple[Signal, ...]
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A body, and which of the notification's signals it tells."""

    body: str
    signals: tuple[Signal, ...]


# --- deliveries ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TargetState:
    """How a target is doing, shared by all workers."""

    name: str
    sent: tuple[int, ...] = ()  # when its latest attempts began, as far back as its limit looks
    failures: int = 0  # attempts in a row that it did not take
    openings: int = 0  # how often its circuit has opened
    open_since: int | None = None  # its circuit
    waits_until: int = 0  # nothing is sent to it before


DeliveryState = Literal["pending", "sent", "dead"]
DELIVERY_STATES: tuple[DeliveryState, ...] = ("pending", "sent", "dead")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one target. Everything down to `body` never changes once it is written."""

    key: str  # hash of group, flush, target and part: the message's id for its receiver
    group: str
    flush: int
    target: str  # the receiver's name
    part: int
    signals: tuple[str, ...]  # ids of the signals that it tells
    title: str  # for lists
    created_at: int
    body: str
    state: DeliveryState = "pending"
    queued_at: int = 0  # when it was created or last re-sent by a person: its age counts from here
    attempts: int = 0  # counted when an attempt begins
    next_attempt_at: int = 0
    claimed_until: int = 0  # a worker is sending it until then
    hold_until: int = 0  # the target asked for silence until then: holds for all its deliveries
    rank: int = 1  # a lower one overtakes: 0 what is critical, 1 the rest, 2 digests and reports
    finished_at: int | None = None
    detail: str = ""  # what became of the latest attempt


@dataclass(frozen=True, slots=True)
class Ok:
    """The target took it. `reference` is how it refers to the first message of the thread, where it has threads."""

    detail: str = ""
    http_status: int | None = None
    provider_code: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Not now: again after `seconds`, or where the target named no time, when the pipeline thinks fit."""

    seconds: float | None = None
    detail: str = ""
    http_status: int | None = None
    provider_code: str = ""


@dataclass(frozen=True, slots=True)
class Permanent:
    """The target will never take it."""

    detail: str = ""
    http_status: int | None = None
    provider_code: str = ""


Result = Ok | RetryAfter | Permanent


@dataclass(frozen=True, slots=True)
class Attempt:
    """A line of the delivery log."""

    key: str
    attempt: int
    at: int
    result: Literal["ok", "retry", "permanent"]
    http_status: int | None
    provider_code: str
    latency: int  # nanoseconds
    body_sha256: str
    detail: str = ""
