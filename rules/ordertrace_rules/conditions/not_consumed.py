"""A message was published, and a subscriber did not consume it in time."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ordertrace_rules.conditions.absence import absence
from ordertrace_rules.conditions.vocabulary import Finding, Need, Timeline
from ordertrace_rules.event import Event

PUBLISHED = "message.published"
CONSUMED = "message.consumed"


@dataclass(frozen=True, slots=True)
class NotConsumed:
    """Each message and each subscriber is a membership of its own. `destinations` empty is any; `subscriber`
    empty is each of those that the process declares for the message's destination.

    What is found has the traits `destination` and `subscriber`: grouped by them it is a queue, whose oldest message
    opens it, and whose age is that of the incident. A subscriber is known by its consumer group or by its service. A
    message without an id cannot be followed.
    """

    destinations: tuple[str, ...]
    within: int
    subscriber: str = ""

    def find(self, timeline: Timeline, now: int) -> tuple[Finding, ...]:
        found = (
            self._of(message, subscriber, timeline, now)
            for message in self._published(timeline.events)
            for subscriber in self._subscribers(message, timeline)
        )
        return tuple(finding for finding in found if finding is not None)

    def actions(self) -> tuple[str, ...]:
        return (PUBLISHED, CONSUMED)

    def _of(self, message: Event, subscriber: str, timeline: Timeline, now: int) -> Finding | None:
        consumptions = [e for e in timeline.events if _is_consumed_by(e, subscriber)]
        answer = next((e for e in consumptions if _is_of(e, message)), None)
        services = tuple(dict.fromkeys(e.service for e in consumptions if e.service)) or (subscriber,)
        deadline = timeline.after(message.timestamp, self.within)
        if deadline is None:
            return None
        found = absence(
            timeline,
            now,
            Need((CONSUMED,), message.timestamp, deadline, services),
            answer.timestamp if answer is not None else None,
            evidence=(message.id, answer.id) if answer is not None else (message.id,),
            occurrence="/".join((message.destination, message.message_id, subscriber)),
        )
        traits = {"destination": message.destination, "subscriber": subscriber}
        return replace(found, traits=traits) if found is not None and found.state != "quiet" else found

    def _published(self, events: Iterable[Event]) -> list[Event]:
        """The first record of each message."""
        first: dict[tuple[str, str], Event] = {}
        for e in events:
            wanted = not self.destinations or e.destination in self.destinations
            if e.action == PUBLISHED and e.outcome != "failure" and e.message_id and wanted:
                first.setdefault((e.destination, e.message_id), e)
        return list(first.values())

    def _subscribers(self, message: Event, timeline: Timeline) -> tuple[str, ...]:
        declared = timeline.process.subscribers.get(message.destination, ())
        return (self.subscriber,) if self.subscriber else declared


def _is_consumed_by(event: Event, subscriber: str) -> bool:
    consumed = event.action == CONSUMED and event.outcome != "failure"
    return consumed and subscriber in (event.consumer_group, event.service)


def _is_of(event: Event, message: Event) -> bool:
    """The same message: ids are the broker's, and two destinations may count alike."""
    same_place = not (event.destination and message.destination) or event.destination == message.destination
    return event.message_id == message.message_id and same_place
