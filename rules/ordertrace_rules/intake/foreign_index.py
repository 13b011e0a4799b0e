"""Reads the indices of other programs in Elasticsearch where they are, and takes events out of them.

Nothing of theirs is changed, copied whole or indexed again: of each document the mapping rules make the events
that it stands for, and these alone are stored. Of the documents that speak of no order the latest of each service
is kept, which says up to when its logs are known. The place that was reached is kept in the store's checkpoints, after
the events are stored: a crash in between reads some documents again, which changes nothing.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from elasticsearch import Elasticsearch

from ordertrace_rules.aliases import keys_of
from ordertrace_rules.clock import Clock
from ordertrace_rules.errors import RecordError
from ordertrace_rules.event import Event
from ordertrace_rules.intake.intake import Accepted, Intake
from ordertrace_rules.intake.tail import Checkpoints
from ordertrace_rules.settings import ForeignIndex
from ordertrace_rules.stores.elasticsearch.arrivals import (
    SWEEP,
    Overlap,
    Stream,
    StreamReader,
    cursor_at,
)
from ordertrace_rules.stores.elasticsearch.cluster import Cluster

BATCH = 5_000  # documents in one reading
SOURCE = "elasticsearch"  # of every index: its documents stay the same events under another pattern or name


@dataclass(frozen=True, slots=True)
class Look:
    """Of so many documents, so many that say something of an order, and that cannot be read, with the last reason."""

    documents: int
    of_orders: int = 0
    refused: int = 0
    reason: str = ""


class ForeignIndexReader:
    """Follows one entry of `foreign_indices`.

    A document is read once its date has come, so that one dated next year does not carry the place along with it.
    """

    def __init__(
        self,
        client: Elasticsearch,
        foreign: ForeignIndex,
        intake: Intake,
        checkpoints: Checkpoints,
        clock: Clock,
    ) -> None:
        self.foreign = foreign
        self._intake = intake
        self._checkpoints = checkpoints
        self._clock = clock
        self._mapping = intake.mappings.name_of(foreign.mapping) if foreign.mapping else None
        query = {"query_string": {"query": foreign.query}} if foreign.query else None
        self._client = client
        self._reader = StreamReader(
            Cluster(client, ""),
            Stream(foreign.index, foreign.time_field, query),
            Overlap(usual=foreign.lateness, sweep=max(SWEEP, foreign.lateness)),
            time.monotonic_ns,
        )

    def look(self, sample: int) -> "Look":
        """What the rules make of the latest `sample` documents; nothing is stored, and no place moves."""
        now = self._clock.now()
        found = self._reader.latest(sample, until=now)
        look = Look(len(found))
        for hit in found:
            try:
                read = self._intake.reader.read(
                    hit.source,
                    received=now,
                    source=SOURCE,
                    mapping=self._mapping,
                    service=self.foreign.service,
                )
            except RecordError as error:
                look = replace(look, refused=look.refused + 1, reason=error.reason)
                continue
            events = [event for event in read[0] if event.action or keys_of(event)]
            look = replace(look, of_orders=look.of_orders + bool(events))
        return look

    @property
    def name(self) -> str:
        """What the place that was reached, and the lease of whoever reads, are kept under."""
        return f"index:{self.foreign.index}"

    def poll(self) -> tuple[Accepted, bool]:
        """Take what is new, a batch of it at most: what became of it, and whether more is waiting.

        Raises StoreUnavailable where the index answers in part or not at all, and Conflict where another
        process reads it too; then nothing was skipped.
        """
        now = self._clock.now()
        reached = self._checkpoints.checkpoint(self.name)
        cursor = reached.value if reached else cursor_at(max(now - self.foreign.since, 0))
        reading = self._reader.after(cursor, BATCH, until=now)
        if not reading.hits:
            return Accepted(), False
        accepted = self._intake.accept(
            (hit.source for hit in reading.hits),
            source=SOURCE,
            mapping=self._mapping,
            service=self.foreign.service,
            choose=of_orders,
        )
        self._checkpoints.put_checkpoint(self.name, reading.cursor, reached.version if reached else None)
        return accepted, len(reading.hits) == BATCH

    def close(self) -> None:
        """Close the client that it was given."""
        self._client.close()


def of_orders(events: Sequence[Event]) -> list[Event]:
    """The events that say something or name an order; of the others the latest of each service."""
    latest: dict[str, Event] = {}
    for event in events:
        if event.service and (
            event.service not in latest or event.timestamp > latest[event.service].timestamp
        ):
            latest[event.service] = event
    return [e for e in events if e.action or keys_of(e) or latest.get(e.service) is e]
