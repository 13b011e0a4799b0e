"""Two systems say different things of one order, and go on saying them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ordertrace_rules.conditions.absence import absence
from ordertrace_rules.conditions.vocabulary import Finding, Need, Timeline
from ordertrace_rules.event import Event
from ordertrace_rules.times import format_instant


@dataclass(frozen=True, slots=True)
class Difference:
    """A time in which the two differed: the record that made them differ, and the one that made them agree."""

    began: Event
    ended: Event | None


@dataclass(frozen=True, slots=True)
class StatusDiffers:
    """Opens when the last `order.status` of both has differed for `lasting`; the record that makes them agree
    resolves it. Each difference is a membership of its own. Before both have said one, nothing differs.

    `meaning` leads a system's word to the one that it stands for. With `listed_only` a word that it does not list
    says nothing, and ends what differs: a rule for systems whose words nobody knows all of.
    """

    services: tuple[str, str]
    lasting: int
    meaning: Mapping[str, str] = field(default_factory=dict[str, str])
    listed_only: bool = False

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        found = (
            absence(
                timeline,
                now,
                Need((), d.began.timestamp, deadline, self.services),
                d.ended.timestamp if d.ended is not None else None,
                evidence=(d.began.id, d.ended.id) if d.ended is not None else (d.began.id,),
                occurrence=format_instant(d.began.timestamp),
            )
            for d in self._differences(timeline.records)
            if (deadline := timeline.after(d.began.timestamp, self.lasting)) is not None
        )
        return tuple(finding for finding in found if finding is not None)

    def actions(self) -> tuple[str, ...]:
        return ()

    def _differences(self, records: Iterable[Event]) -> list[Difference]:
        """By `position`; while they differ, a change to another difference is none."""
        said: dict[str, str] = {}
        differences: list[Difference] = []
        for record in records:
            if not record.status or record.service not in self.services:
                continue
            said.pop(record.service, None)
            if word := self._meaning_of(record.status):
                said[record.service] = word
            differing = bool(differences) and differences[-1].ended is None
            if len(set(said.values())) > 1 and not differing:
                differences.append(Difference(record, None))
            elif len(set(said.values())) == 1 and differing:
                differences[-1] = Difference(differences[-1].began, record)
        return differences

    def _meaning_of(self, status: str) -> str:
        """What a system's word stands for; nothing for one that is not listed where only those count."""
        listed = not self.listed_only or status in self.meaning.values()
        return self.meaning.get(status, status if listed else "")
