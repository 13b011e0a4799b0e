"""What the engine needs of a store. One contract suite (tests/rules/stores) runs on every backend.

Every write is either idempotent by its id (events, bindings, kept-aside records) or a compare-and-set by the
`version` that the read returned (everything else). A version is opaque; `None` means "not there yet".
Compare-and-set raises `Conflict` when the version no longer holds. No write spans two documents.
A store that cannot answer in full raises `StoreUnavailable`: it never returns a part.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ordertrace_rules.event import Event
from ordertrace_rules.vocabulary import Binding, Incident, Journey, Member, MemberStatus

T = TypeVar("T")
Version = str


@dataclass(frozen=True, slots=True)
class Versioned(Generic[T]):
    """A document with the version that a later compare-and-set has to name."""

    value: T
    version: Version


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Events in order of arrival, and the cursor that asks for what comes after them."""

    events: tuple[Event, ...]
    cursor: str


@dataclass(frozen=True, slots=True)
class Appended:
    """How many of the events given were new; the others were there before, by `event.id`."""

    new: int
    known: int


@dataclass(frozen=True, slots=True)
class KeptAside:
    """A record that could not be an event."""

    id: str  # a hash of source, reason and raw, so that repeats collapse
    at: int
    source: str
    reason: str
    raw: str  # cut at 64 KiB


@dataclass(frozen=True, slots=True)
class Presence:
    """What has arrived from one instance of one service; `completeness` reads intervals out of it.

    `runs` are unbroken runs of `event.sequence`: (first, last, @timestamp of the first, of the last), sorted;
    what lies between two runs was lost or is still on its way. `losses` says when the instance's own count of
    lost records stood where: (count, first heartbeat that said so, last one), sorted by count.
    """

    service: str
    instance: str
    first_at: int
    last_at: int  # latest @timestamp of any record
    last_heartbeat: int | None = None  # None where it never sent one
    goodbye_at: int | None = None
    runs: tuple[tuple[int, int, int, int], ...] = ()
    losses: tuple[tuple[int, int, int], ...] = ()
    known_from: int = 0  # older runs are forgotten: before this instant holes may be unknown

    @property
    def id(self) -> str:
        return f"{self.service}|{self.instance}"


@dataclass(frozen=True, slots=True)
class MemberCounts:
    """A recount of an incident's members."""

    open: int
    resolved: int
    withdrawn: int
    open_firm: int
    resolved_firm: int
    explained: int  # open members with `explained_by`
    since: int | None  # the earliest, over members that are not withdrawn
    opened_at: int | None  # the earliest, over members that are not withdrawn
    detected_at: int | None  # the earliest, over members that are not withdrawn
    resolved_at: int | None  # the latest, over resolved members
    amounts: Mapping[str, float]  # of open members by currency
    assumed: int  # open members that are firm by activity only
    missing: tuple[str, ...]  # services that open unverified members wait for


class Store(Protocol):
    """Safe to use from several threads."""

    remembers_reads: bool
    """Whether within a `batch` what was read once costs nothing again: then it pays to read for many at once."""

    def batch(self) -> AbstractContextManager[None]:
        """Group this thread's small writes; none of them is undone by an exception inside.

        Within it writes may become durable together, at the latest at the end. A crash inside loses a suffix
        of them or all, never an earlier one while a later one is kept. `append` is durable on return even
        here. Batches may nest; the outermost ends the group.
        """
        ...

    # events -------------------------------------------------------------------------------------------
    def append(self, events: Sequence[Event]) -> Appended:
        """Store events, once each by `id`; a known id changes nothing. Durable on return.

        Each is indexed under all of `aliases.keys_of(event)`.
        """
        ...

    def arrivals(self, cursor: str, limit: int) -> Arrivals:
        """The events that arrived after `cursor` ("" is the beginning), oldest arrival first."""
        ...

    def earliest(self, cursors: Iterable[str]) -> str:
        """The one of these cursors after which the most events come; "" is before all others."""
        ...

    def freshen(self) -> bool:
        """Let reads from now on see every event that anybody has written; whether they may see more by it."""
        ...

    def events(self, ids: Collection[str]) -> dict[str, Event]: ...

    def events_by_keys(self, keys: Collection[str], limit: int) -> list[Event]:
        """The events indexed under any of `keys`, each once, sorted by `position`; at most `limit`."""
        ...

    def count_events(self) -> int: ...

    def count_of(self, action: str, service: str, start: int, end: int) -> int:
        """How many events have `action`, of `service` ("" is any), and a @timestamp in [start, end)."""
        ...

    # aliases ------------------------------------------------------------------------------------------
    def bind(self, bindings: Iterable[Binding]) -> list[Binding]:
        """Keep each `Binding.id` with the smallest `since` seen. Return those that are new or now earlier."""
        ...

    def bindings_from(self, keys: Collection[str]) -> list[Binding]:
        """All bindings whose `key` is one of `keys`."""
        ...

    def bindings_to(self, targets: Collection[str]) -> list[Binding]:
        """All bindings whose `target` is one of `targets`."""
        ...

    # emitters and presence ----------------------------------------------------------------------------
    def saw(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Remember (action, service) pairs."""
        ...

    def emitters(self, action: str) -> tuple[str, ...]:
        """The services that were ever seen to emit `action`, sorted."""
        ...

    def presences(self) -> list[Versioned[Presence]]: ...

    def put_presence(self, presence: Presence, version: Version | None) -> Version: ...

    # journeys -----------------------------------------------------------------------------------------
    def journeys(self, ids: Collection[str]) -> dict[str, Versioned[Journey]]: ...

    def put_journey(self, journey: Journey, version: Version | None) -> Version: ...

    def put_journeys(self, journeys: Sequence[Versioned[Journey] | Journey]) -> None:
        """Each in place of the version that it carries, or as a new one. All that can be are written; then
        Conflict is raised where one could not."""
        ...

    def due(self, now: int, limit: int) -> list[str]:
        """Ids of journeys with `next_deadline` <= now, the longest due first."""
        ...

    def journeys_past(self, process: str, stage: str, since: int, until: int, limit: int) -> list[Journey]:
        """Journeys whose `stage` is done and ended in [since, until], the latest end first."""
        ...

    def journeys_known(self, after: int, until: int, limit: int) -> list[Journey]:
        """Journeys with an instant in (after, until] among their `known_since`, by id."""
        ...

    # memberships --------------------------------------------------------------------------------------
    def members_of(self, subjects: Collection[str]) -> list[Versioned[Member]]:
        """All memberships of these subjects, in any incident and state."""
        ...

    def put_member(self, member: Member, version: Version | None) -> Version: ...

    def put_members(self, members: Sequence[Versioned[Member] | Member]) -> list[Version]:
        """As `put_journeys`; returns the new versions."""
        ...

    def unsettled(self, limit: int) -> list[Versioned[Member]]:
        """Members that phase 2 has not counted yet, in the order of `detected_at`, then id."""
        ...

    def members(
        self, incident: str, states: Collection[MemberStatus] = (), limit: int = 1000, after: str = ""
    ) -> list[Member]:
        """Members of an incident by id, those after the id `after`; all states if none is named."""
        ...

    def count_members(self, incident: str) -> MemberCounts: ...

    # incidents ----------------------------------------------------------------------------------------
    def incident(self, incident_id: str) -> Versioned[Incident] | None: ...

    def latest_incident(self, playbook: str, group: str) -> Versioned[Incident] | None:
        """The one with the highest episode."""
        ...

    def incidents_open(self) -> list[Versioned[Incident]]: ...

    def incidents_to_relay(self, limit: int) -> list[Versioned[Incident]]:
        """Incidents with transitions that are not yet relayed."""
        ...

    def put_incident(self, incident: Incident, version: Version | None) -> Version: ...

    # kept aside, checkpoints, leases ------------------------------------------------------------------
    def keep_aside(self, records: Iterable[KeptAside]) -> None: ...

    def kept_aside(self, limit: int) -> list[KeptAside]:
        """The latest first."""
        ...

    def count_kept_aside(self) -> dict[str, int]:
        """By reason."""
        ...

    def checkpoint(self, name: str) -> Versioned[str] | None: ...

    def put_checkpoint(self, name: str, value: str, version: Version | None) -> Version: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows, and the key that asks for the next page ("" where this is the last)."""

    rows: tuple[T, ...]
    next: str


@dataclass(frozen=True, slots=True)
class OrderHit:
    """An order that a search found, and by what."""

    order_id: str
    matched: str  # "order id", "payment_id", "tracking_no" …


class Views(Protocol):
    """What pages and the API list and search. Reads columns, never scans documents."""

    def incidents(self, *, states: Collection[str] = (), after: str = "", limit: int = 50) -> Page[Incident]:
        """Newest `detected_at` first."""
        ...

    def incidents_of(self, subject: str) -> list[Incident]:
        """The incidents that a subject is or was a member of."""
        ...

    def orders(self, text: str, limit: int = 20) -> list[OrderHit]:
        """Orders that any id, pasted as it is, leads to; an exact id first, then ids that begin with it."""
        ...

    def stage_counts(self, process: str) -> dict[str, dict[str, int]]:
        """Open journeys by stage: {"reservation": {"count": 12, "overdue_at": earliest deadline}}."""
        ...

    def version(self) -> str:
        """Changes whenever an incident or a journey did: for ETags."""
        ...
