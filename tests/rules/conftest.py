"""A small world for the engine: a store in memory, a clock that is set, and orders that say things."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import pytest

from ordertrace_rules.aliases import Aliases
from ordertrace_rules.catalogue import Catalogue, load_catalogue
from ordertrace_rules.clock import SetClock
from ordertrace_rules.completeness import CompletenessRules, Judgement
from ordertrace_rules.engine import Engine, Rules, TickReport
from ordertrace_rules.event import Event
from ordertrace_rules.incidents import IncidentRules
from ordertrace_rules.stores.memory import MemoryStore, MemoryViews
from ordertrace_rules.times import MINUTE, format_instant, parse_instant
from ordertrace_rules.vocabulary import Incident, Member

MORNING = parse_instant("2026-03-01T08:00:00Z")


def at(minutes: float) -> int:
    """The instant so many minutes after eight in the morning."""
    return MORNING + round(minutes * MINUTE)


def make_event(minutes: float, service: str, action: str, order: str = "", **fields: object) -> Event:
    """A record; further fields are ECS names with `__` for the dot, such as `event__outcome`."""
    document: dict[str, object] = {
        "@timestamp": format_instant(at(minutes)),
        "service.name": service,
        "event.action": action,
        "order.id": order,
    }
    document |= {name.replace("__", "."): value for name, value in fields.items()}
    return Event.from_document(document, received=at(minutes), source="test")


@cache
def shipped(playbooks: tuple[str, ...]) -> Catalogue:
    return load_catalogue(only=playbooks)


@dataclass
class World:
    """Say what happened, let the clock run, and look at what came of it."""

    playbooks: tuple[str, ...] = ()
    completeness: CompletenessRules = field(
        default_factory=lambda: CompletenessRules(default=Judgement("file"))
    )
    incident_rules: IncidentRules = field(default_factory=IncidentRules)
    store: MemoryStore = field(default_factory=MemoryStore)
    catalogue: Catalogue | None = None

    def __post_init__(self) -> None:
        self.clock = SetClock(MORNING)
        self.catalogue = self.catalogue or shipped(self.playbooks)
        rules = Rules(self.catalogue, Aliases(), self.completeness, self.incident_rules)
        self.engine = Engine(self.store, rules, self.clock)
        self.views = MemoryViews(self.store)

    def say(self, minutes: float, service: str, action: str, order: str = "", **fields: object) -> Event:
        event = make_event(minutes, service, action, order, **fields)
        self.store.append([event])
        return event

    def tick(self, minutes: float) -> TickReport:
        self.clock.advance_to(at(minutes))
        return self.engine.catch_up()

    def incidents(self) -> dict[str, Incident]:
        return {i.id: i for i in self.views.incidents().rows}

    def members(self, incident: str) -> dict[str, Member]:
        return {m.subject: m for m in self.store.members(incident)}


@pytest.fixture(scope="session")
def make_world() -> Callable[..., World]:
    return World


@pytest.fixture
def world() -> World:
    """All shipped playbooks; the records that are there are all there is."""
    return World()
