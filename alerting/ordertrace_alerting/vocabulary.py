"""What alerting understands: signals in, deliveries out. Instants are nanoseconds since the epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

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
    kind: str  # opened | grown | cause_changed | verified | acknowledged | reopened | resolved | withdrawn
    status: Status
    at: int
    labels: Mapping[str, str]
    title: Mapping[str, str]
    body: Mapping[str, str]
    raw_body: Mapping[str, str] = field(default_factory=dict[str, str])
    url: str = ""
    payload: Mapping[str, object] = field(default_factory=dict[str, object])
