"""The rules service as one object: everything that a page, a command or a tick needs, put together once."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.memory_store import MemoryAlertStore
from ordertrace_alerting.pipeline import Pipeline
from ordertrace_alerting.senders import build_senders
from ordertrace_alerting.sqlite_store import SqliteAlertStore
from ordertrace_alerting.store import AlertStore
from ordertrace_rules.actions.execution import Execution
from ordertrace_rules.actions.targets import ActionRules, action_rules, action_senders
from ordertrace_rules.aliases import Aliases
from ordertrace_rules.catalogue import Catalogue, load_catalogue
from ordertrace_rules.clock import Clock, SystemClock
from ordertrace_rules.completeness import CompletenessRules, Judgement
from ordertrace_rules.daily_figures import day_figures
from ordertrace_rules.engine import Engine, Rules, TickReport
from ordertrace_rules.incidents import IncidentRules
from ordertrace_rules.intake.foreign_index import ForeignIndexReader
from ordertrace_rules.intake.intake import Intake
from ordertrace_rules.intake.mapping import Mappings
from ordertrace_rules.intake.mapping_file import load_mappings
from ordertrace_rules.kibana import site_kibana
from ordertrace_rules.relay import relay
from ordertrace_rules.rendering.templates import BUILT_IN, GuideTemplates
from ordertrace_rules.rephrase import Rephrase, Rephraser, as_it_is
from ordertrace_rules.scheduler import Pulse
from ordertrace_rules.settings import Settings
from ordertrace_rules.slices import WHOLE, Share
from ordertrace_rules.spans.export import SpanExport, open_sender
from ordertrace_rules.spans.source import SpanSource
from ordertrace_rules.stores.elasticsearch.alerts import ElasticsearchAlertStore
from ordertrace_rules.stores.elasticsearch.cluster import connect
from ordertrace_rules.stores.opening import open_cluster, open_store
from ordertrace_rules.stores.protocol import Store, Views
from ordertrace_rules.subjects import Subjects
from ordertrace_rules.times import MINUTE, NS


@dataclass(frozen=True, slots=True)
class Service:
    """What runs: the parts, wired. Building it starts nothing; `serve` starts the threads."""

    settings: Settings
    catalogue: Catalogue
    store: Store
    views: Views
    intake: Intake
    engine: Engine
    alerts: Pipeline
    clock: Clock
    foreign_indices: Sequence[ForeignIndexReader] = ()
    templates: GuideTemplates = BUILT_IN
    rephrase: Rephrase = as_it_is
    actions: ActionRules = field(default_factory=ActionRules)
    pulse: Pulse = field(default_factory=Pulse)  # of the ticks
    alert_pulse: Pulse = field(default_factory=Pulse)  # of the deliveries
    spans: SpanExport | None = None
    span_pulse: Pulse = field(default_factory=Pulse)  # of the export of spans

    def tick(self, share: Share = WHOLE) -> TickReport:
        """Judge a batch of what is new and due, then, where we lead, hand the transitions to alerting."""
        report = self.engine.tick(share=share)
        if not share.leads:
            return report
        relay(
            self.store,
            self.catalogue,
            self.alerts.accept,
            self.settings.public_url,
            self.clock.now(),
            site_kibana(self.settings),
            self.templates,
            self.rephrase,
        )
        self.execution().tick(self.clock.now())
        return report

    def span_source(self) -> SpanSource:
        """What reads the stored journeys as spans."""
        return _span_source(self.settings, self.engine)

    def execution(self) -> Execution:
        """What executes approved actions."""
        return Execution(self.store, self.catalogue, self.alerts, self.actions, self.settings.public_url)


@contextmanager
def open_service(settings: Settings, clock: Clock | None = None) -> Generator[Service]:
    """Open the stores and wire the parts; close the stores at the end. Raises ConfigError, StoreUnavailable."""
    clock = clock or SystemClock()
    catalogue = site_catalogue(settings)
    templates = GuideTemplates(settings.guide_templates)
    rephrase = Rephraser(settings.rephrase) if settings.rephrase is not None else as_it_is
    opened = open_store(settings)
    alert_store = open_alert_store(settings)
    config = alerting_config(settings.alerting)
    actions = action_rules(settings.actions)
    senders = {**build_senders(config), **action_senders(actions)}
    intake = site_intake(settings, opened.store, clock)
    readers = _foreign_indices(settings, intake, opened.store, clock)
    pulse = Pulse()
    alerts = Pipeline(
        config,
        alert_store,
        senders,
        clock.now,
        count=lambda since, until: day_figures(opened.store, opened.views, pulse, since, until),
        is_well=lambda: pulse.is_well(max(300.0, 3 * settings.tick_interval / NS)),
    )
    engine = Engine(opened.store, engine_rules(settings, catalogue), clock)
    spans = _span_export(settings, engine)
    try:
        yield Service(
            settings=settings,
            catalogue=catalogue,
            store=opened.store,
            views=opened.views,
            intake=intake,
            engine=engine,
            alerts=alerts,
            pulse=pulse,
            clock=clock,
            foreign_indices=readers,
            templates=templates,
            rephrase=rephrase,
            actions=actions,
            spans=spans,
        )
    finally:
        if spans is not None:
            spans.close()
        for reader in readers:
            reader.close()
        alerts.close()  # what is being sent is recorded, or it would be sent again
        alert_store.close()
        opened.close()


def open_alert_store(settings: Settings) -> AlertStore:
    """The outbox, in the same file or cluster as the rules' own store. Raises StoreUnavailable."""
    if settings.store == "elasticsearch":
        return ElasticsearchAlertStore(open_cluster(settings))
    return MemoryAlertStore() if settings.store == "memory" else SqliteAlertStore(settings.sqlite_path)


def site_catalogue(settings: Settings, only: Sequence[str] = ()) -> Catalogue:
    """The shipped and the site's processes and playbooks. Raises ConfigError."""
    return load_catalogue(
        settings.processes,
        settings.playbooks,
        only=only,
        off=settings.playbooks_off,
        time_scale=settings.time_scale,
    )


def site_mappings(settings: Settings, more: Sequence[Path] = ()) -> Mappings:
    """The mapping rules of the configuration, those of its sources, tails and indices, and `more`."""
    places = (*settings.sources.values(), *settings.tail, *settings.foreign_indices)
    named = [place.mapping for place in places if place.mapping]
    return load_mappings((*settings.mappings, *more), named)


def site_intake(settings: Settings, store: Store, clock: Clock | None = None) -> Intake:
    """The intake as configured, into `store`. Raises ConfigError."""
    return Intake(store, clock or SystemClock(), site_mappings(settings), settings.masks, settings.mask_key)


def _foreign_indices(
    settings: Settings, intake: Intake, store: Store, clock: Clock
) -> tuple[ForeignIndexReader, ...]:
    named = settings.foreign_indices
    return tuple(ForeignIndexReader(connect(settings), each, intake, store, clock) for each in named)


def _span_source(settings: Settings, engine: Engine) -> SpanSource:
    subjects = Subjects(engine.store, engine.rules.aliases)  # of its own: it is used by another thread
    return SpanSource(engine.store, engine.rules.catalogue, subjects, settings.namespace)


def _span_export(settings: Settings, engine: Engine) -> SpanExport | None:
    if not settings.spans_to:
        return None
    source, lateness = _span_source(settings, engine), engine.rules.completeness.default.lateness
    return SpanExport(engine.store, source, partial(open_sender, settings.spans_to), engine.clock, lateness)


def engine_rules(settings: Settings, catalogue: Catalogue) -> Rules:
    """What the engine judges by. The time scale shortens its patience too, down to what a busy machine needs."""

    def scaled(duration: int, least: int) -> int:
        return duration if settings.time_scale == 1 else max(round(duration / settings.time_scale), least)

    known = settings.completeness
    lateness = {s: Judgement(j.source, scaled(j.lateness, NS)) for s, j in known.by_service.items()}
    completeness = CompletenessRules(
        default=Judgement(known.default.source, scaled(known.default.lateness, NS)),
        by_service=lateness,
        least_silence=0 if settings.time_scale == 1 else 10 * NS,
        recheck=scaled(30 * NS, NS // 2),
    )
    incidents = IncidentRules(patience=scaled(10 * MINUTE, 10 * NS), diagnose_every=scaled(MINUTE, 2 * NS))
    return Rules(catalogue, Aliases(settings.alias_kinds), completeness, incidents)
