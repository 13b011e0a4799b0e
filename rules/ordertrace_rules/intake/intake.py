"""Records in, events stored: decode, map, mask, bound, append. What cannot be an event is kept aside.

`Intake.accept` is the one way in; the Forward server, HTTP, the file tail and `ordertrace ingest` all use it.
When it returns, everything that it was given is stored: only then may a sender be told so.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from threading import Lock
from typing import Protocol

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules.aliases import keys_of
from ordertrace_rules.clock import Clock
from ordertrace_rules.errors import RecordError
from ordertrace_rules.event import Event
from ordertrace_rules.intake.mapping import Mapped, Mappings
from ordertrace_rules.intake.masking import DEFAULT_MASKS, Masker
from ordertrace_rules.intake.record import bounded, cut, decode, flat, unlisted
from ordertrace_rules.stores.protocol import Appended, KeptAside

BATCH = 1000  # records in one append
RAW_LIMIT = 64 * 1024  # bytes of a record that is kept aside

logger = logging.getLogger(__name__)


class EventSink(Protocol):
    """What the intake needs of a store."""

    def append(self, events: Sequence[Event]) -> Appended: ...

    def keep_aside(self, records: Iterable[KeptAside]) -> None: ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of the records given: events new and known before, and records kept aside, by reason.

    `dropped` counts records of which a mapping rule makes nothing, and empty lines; of them `without_event` those
    whose rule is to make events of them, and none applied. `without_order` counts the events, new or known, that
    name no order and bring no id that could lead to one. Heartbeats are not among them.
    """

    new: int = 0
    known: int = 0
    kept_aside: Mapping[str, int] = field(default_factory=dict[str, int])
    dropped: int = 0
    without_event: int = 0
    without_order: int = 0

    def __add__(self, other: "Accepted") -> "Accepted":
        kept_aside = Counter(self.kept_aside)
        kept_aside.update(other.kept_aside)
        return Accepted(
            self.new + other.new,
            self.known + other.known,
            dict(kept_aside),
            self.dropped + other.dropped,
            self.without_event + other.without_event,
            self.without_order + other.without_order,
        )


class Tally:
    """What an intake has taken since it began, for metrics. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._total = Accepted()

    def add(self, accepted: Accepted) -> None:
        with self._lock:
            self._total += accepted

    @property
    def total(self) -> Accepted:
        return self._total


@dataclass(frozen=True, slots=True)
class Reader:
    """Makes events of records: all of the intake but the store."""

    mappings: Mappings = field(default_factory=Mappings)
    masker: Masker = field(default_factory=Masker)

    def events(
        self, record: object, *, received: int, source: str, mapping: str | None = None, service: str = ""
    ) -> list[Event]:
        """The events of one record; none where a rule drops it, no event of its rule applies or the line is empty.

        Raises RecordError with one of the reasons in docs/intake.md.
        """
        return self.read(record, received=received, source=source, mapping=mapping, service=service)[0]

    def read(
        self, record: object, *, received: int, source: str, mapping: str | None = None, service: str = ""
    ) -> tuple[list[Event], bool]:
        """The events of one record as `events` gives them, and whether none was meant to be made of it."""
        try:
            document, problem = decode(record)
            if problem and not document[ecs.MESSAGE]:
                return [], True
            fields = flat(document)
            if mapping is None and not self.mappings.sets:
                mapped = Mapped((fields,))
            else:
                mapped = self.mappings.apply(fields, source, mapping)
            made = mapped.events
            if problem and not mapped.rule:
                raise problem
            if service:
                made = [
                    one if one.get(ecs.SERVICE_NAME) else {**one, ecs.SERVICE_NAME: service} for one in made
                ]
            events = [
                Event.from_document(
                    self.masker.masked(bounded(unlisted(one))), received=received, source=source
                )
                for one in made
            ]
            return events, mapped.drops
        except RecordError:
            raise
        except RecursionError:
            raise RecordError("too_deep", "objects nested deeper than can be read") from None
        except Exception:
            # one record must never hold up all those behind it
            logger.exception("a record could not be read")
            raise RecordError("unreadable", "see the log of the service") from None


@dataclass(frozen=True, slots=True)
class Intake:
    """The configuration of an intake, and its counts."""

    store: EventSink
    clock: Clock
    mappings: Mappings = field(default_factory=Mappings)
    masks: Sequence[str] = DEFAULT_MASKS
    mask_key: str = ""
    tally: Tally = field(default_factory=Tally, compare=False)
    reader: Reader = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reader", Reader(self.mappings, Masker(self.masks, self.mask_key)))

    def accept(
        self,
        records: Iterable[object],
        *,
        source: str,
        mapping: str | None = None,
        service: str = "",
        on_kept: Callable[[int, RecordError], object] = lambda _index, _error: None,
        choose: Callable[[list[Event]], list[Event]] = list,
    ) -> Accepted:
        """Store what the records say; on return it is durable, once for each `event.id`.

        A record is a JSON object as decoded, or one line of text or bytes. `source` names where they come
        from, the same for a repeat: it goes into the `event.id` of records that have none. `mapping` names a
        rule set; without it all are tried that are not on request. `service` stands where
        a record does not say its `service.name`. `on_kept` is told the index of each record kept aside; `choose`
        says which of a batch's events are stored, where a source holds more than is wanted.
        Raises KeyError for an unknown mapping, and what the store raises: then repeat all of it.
        """
        if mapping is not None and mapping not in self.mappings.sets:
            raise KeyError(f"there is no mapping named {mapping!r}")
        read = partial(self.reader.read, source=source, mapping=mapping, service=service)
        total = Accepted()
        remaining = enumerate(records)
        while batch := list(islice(remaining, BATCH)):
            total += self._accept_batch(batch, source, read, on_kept, choose)
        return total

    def keep_aside(self, raw: object, *, source: str, reason: str) -> Accepted:
        """Keep what never became a record, such as a frame that cannot be read, and count it."""
        self.store.keep_aside([self._kept(raw, source, reason)])
        return self._counted(Accepted(kept_aside={reason: 1}))

    def _accept_batch(
        self,
        batch: Sequence[tuple[int, object]],
        source: str,
        read: Callable[..., tuple[list[Event], bool]],
        on_kept: Callable[[int, RecordError], object],
        choose: Callable[[list[Event]], list[Event]],
    ) -> Accepted:
        received = self.clock.now()
        events: list[Event] = []
        kept: list[KeptAside] = []
        reasons: Counter[str] = Counter()
        dropped = without_event = 0
        for index, record in batch:
            try:
                made, on_purpose = read(record, received=received)
            except RecordError as error:
                kept.append(self._kept(record, source, error.reason))
                reasons[error.reason] += 1
                on_kept(index, error)
                continue
            events += made
            dropped += not made
            without_event += not (made or on_purpose)
        if kept:
            self.store.keep_aside(kept)
        events = choose(events)
        appended = self.store.append(events) if events else Appended(0, 0)
        astray = sum(not keys_of(event) and event.action != ecs.HEARTBEAT for event in events)
        return self._counted(
            Accepted(appended.new, appended.known, dict(reasons), dropped, without_event, astray)
        )

    def _counted(self, accepted: Accepted) -> Accepted:
        self.tally.add(accepted)
        return accepted

    def _kept(self, record: object, source: str, reason: str) -> KeptAside:
        raw = cut(self.reader.masker.raw(record), RAW_LIMIT)
        identity = hashlib.sha256(f"{source}\n{reason}\n{raw}".encode("utf-8", "replace")).hexdigest()[:32]
        return KeptAside(identity, self.clock.now(), source, reason, raw)
