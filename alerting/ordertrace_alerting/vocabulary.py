"""What alerting understands: signals in, deliveries out. Instants are nanoseconds since the epoch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, TextIO

from ordertrace_alerting.durations import NS

Status = Literal["firing", "resolved"]


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


def in_language(text: Mapping[str, str], language: str) -> str:
    """The text in `language`, else in English, else in any."""
    return text.get(language) or text.get("en") or next(iter(text.values()), "")


# --- configuration ---------------------------------------------------------------------------------------


MatchOperator = Literal["=", "!=", "=~", "!~"]


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label; a label that is not there is empty. Regular expressions match the whole value."""

    label: str
    operator: MatchOperator
    value: str

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{json.dumps(self.value, ensure_ascii=False)}"


@dataclass(frozen=True, slots=True)
class Route:
    """A node of the routing tree, with everything that it inherits filled in. Durations are nanoseconds."""

    receiver: str
    matchers: tuple[Matcher, ...] = ()
    group_by: tuple[str, ...] = ("incident",)
    group_wait: int = 30 * NS
    group_interval: int = 300 * NS
    repeat_interval: int = 4 * 3600 * NS
    continues: bool = False
    routes: tuple["Route", ...] = ()
    path: str = ""  # the matchers from the root down: what a group remembers of its route


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


@dataclass(frozen=True, slots=True)
class Receiver:
    """A named target."""

    name: str
    type: str
    options: ReceiverOptions
    send_resolved: bool = True


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to try again and when to give up. Durations are nanoseconds."""

    max_attempts: int = 100
    max_age: int = 72 * 3600 * NS
    backoff: int = 5 * NS  # before the second attempt; doubles with each
    max_backoff: int = 3600 * NS


RETENTION = 30 * 86_400 * NS


@dataclass(frozen=True, slots=True)
class AlertingConfig:
    receivers: Mapping[str, Receiver]
    route: Route
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    retention: int = RETENTION  # how long what is finished is kept


# --- groups ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """The latest signal of an incident that a group has put into a flush, and when."""

    signal: Signal
    at: int


@dataclass(frozen=True, slots=True)
class Flush:
    """What a group is about to say. Fixed before the first delivery is written, so that a crash repeats it."""

    number: int
    at: int
    signals: tuple[Signal, ...]
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Signals that are told together: those of one route with the same values of its `group_by` labels."""

    id: str
    receiver: str
    labels: Mapping[str, str]
    group_interval: int
    repeat_interval: int
    pending: Mapping[str, Signal] = field(default_factory=dict[str, Signal])  # by incident, the latest
    news_due_at: int = 0  # when `pending` is to be told
    flushing: Flush | None = None
    flushes: int = 0
    flushed_at: int | None = None
    told: Mapping[str, Told] = field(default_factory=dict[str, Told])  # by incident

    @property
    def due_at(self) -> int | None:
        """When there is something to do for it; None where it sleeps until the next signal."""
        if self.flushing is not None:
            return self.flushing.at
        repeats = [told.at + self.repeat_interval for told in self.repeatable()]
        news = [self.news_due_at] if self.pending else []
        return min(news + repeats, default=None)

    def repeatable(self) -> list[Told]:
        """What is told again after `repeat_interval`: incidents that fire and that nobody has acknowledged."""
        return [
            told
            for incident, told in self.told.items()
            if told.signal.status == "firing"
            and told.signal.kind != "acknowledged"
            and incident not in self.pending
        ]

    def incidents(self) -> set[str]:
        """The incidents of which it has yet to tell the end."""
        return set(self.pending) | {i for i, told in self.told.items() if told.signal.status == "firing"}


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
    finished_at: int | None = None
    detail: str = ""  # what became of the latest attempt


@dataclass(frozen=True, slots=True)
class Ok:
    """The target took it."""

    detail: str = ""
    http_status: int | None = None
    provider_code: str = ""


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
