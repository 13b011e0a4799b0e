"""Transitions become signals: the way from what the rules found to who is told.

A signal's id is `incident:transition`, so relaying one twice makes one signal; only then is the transition
trimmed from its incident, by compare-and-set. A crash in between repeats the first half.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from ordertrace_alerting.vocabulary import Signal
from ordertrace_rules.catalogue import Catalogue
from ordertrace_rules.clocks import known_differences
from ordertrace_rules.errors import Conflict, OrdertraceError
from ordertrace_rules.guide import build_guide
from ordertrace_rules.kibana import NO_KIBANA, Kibana
from ordertrace_rules.rendering.json import guide_document
from ordertrace_rules.rendering.templates import BUILT_IN, GuideTemplates
from ordertrace_rules.rephrase import Rephrase, as_it_is, names_in
from ordertrace_rules.stores.protocol import Store
from ordertrace_rules.vocabulary import (
    LANGUAGES,
    Guide,
    Incident,
    Journey,
    Member,
    Playbook,
    Transition,
    in_language,
)

BATCH = 200
SAMPLE = 20  # members that a guide shows

log = logging.getLogger(__name__)


def relay(
    store: Store,
    catalogue: Catalogue,
    accept: Callable[[Signal], bool],
    base_url: str,
    now: int,
    kibana: Kibana = NO_KIBANA,
    templates: GuideTemplates = BUILT_IN,
    rephrase: Rephrase = as_it_is,
) -> int:
    """Hand every waiting transition to `accept`, which is durable on return. Returns how many there were."""
    relayed = 0
    playbooks = {p.id: p for p in catalogue.playbooks}
    for versioned in store.incidents_to_relay(BATCH):
        incident = versioned.value
        playbook = playbooks.get(incident.playbook) or _gone(incident)
        try:
            guide = guide_of(store, catalogue, incident, playbook, base_url, now, kibana)
            names = names_in(incident, playbook, catalogue.processes.get(playbook.process))
            bodies = _bodies(rephrase(guide, names), templates)
            signals = [_signal(incident, playbook, step, guide, bodies) for step in incident.transitions]
        except OrdertraceError:
            raise
        except Exception:
            log.exception("the guide of incident %s could not be written; it is tried again", incident.id)
            continue  # the others are told meanwhile
        for signal in signals:
            accept(signal)
            relayed += 1
        try:
            store.put_incident(replace(incident, transitions=()), versioned.version)
        except Conflict:
            continue  # it moved on meanwhile: its transitions are relayed again, and known by their ids
    return relayed


def guide_of(
    store: Store,
    catalogue: Catalogue,
    incident: Incident,
    playbook: Playbook,
    base_url: str,
    now: int,
    kibana: Kibana = NO_KIBANA,
) -> Guide:
    """The incident's guide as it stands at `now`, with links to the pages and into Kibana's search."""
    members = store.members(incident.id, ("open",), limit=SAMPLE) or store.members(incident.id, limit=SAMPLE)
    process = catalogue.processes.get(playbook.process)
    return build_guide(
        incident,
        playbook,
        process,
        members,
        incident.diagnosis,
        now=now,
        base_url=base_url,
        kibana=kibana,
        journeys=journeys_of(store, playbook, members) if kibana.url else {},
        clocks=known_differences(store, now),
    )


def journeys_of(store: Store, playbook: Playbook, members: Iterable[Member]) -> Mapping[str, Journey]:
    """The journeys of an incident's members by subject, as the last tick left them."""
    ids = [f"{playbook.process}:{member.subject}" for member in members]
    return {versioned.value.subject: versioned.value for versioned in store.journeys(ids).values()}


def _gone(incident: Incident) -> Playbook:
    """Stands for a playbook that is not loaded any more: its incident still has to be told as over."""
    title = {"en": incident.playbook, "zh": incident.playbook}
    return Playbook(
        incident.playbook, incident.playbook_version, title, title, "", incident.severity, condition=None
    )


@dataclass(frozen=True, slots=True)
class _Bodies:
    """The guide in Markdown by language, without raw log lines and with them."""

    counted: Mapping[str, str]
    raw: Mapping[str, str]


def _bodies(guide: Guide, templates: GuideTemplates) -> _Bodies:
    def by_language(raw_lines: bool) -> Mapping[str, str]:
        return {each: templates.render("markdown", guide, each, raw_lines=raw_lines) for each in LANGUAGES}

    return _Bodies(by_language(False), by_language(True))


def signal_labels(incident: Incident, owner: str) -> dict[str, str]:
    """What routes, silences and mutes match on an incident."""
    return {
        "incident": incident.id,
        "playbook": incident.playbook,
        "severity": incident.severity,
        "certainty": incident.certainty,
        "owner": owner,
    }


def _signal(
    incident: Incident, playbook: Playbook, transition: Transition, guide: Guide, bodies: _Bodies
) -> Signal:
    return Signal(
        id=f"{incident.id}:{transition.number}",
        incident=incident.id,
        number=transition.number,
        kind=transition.kind,
        status="firing" if incident.is_open else "resolved",
        at=transition.at,
        labels=signal_labels(incident, playbook.owner),
        title={language: in_language(guide.title, language) for language in LANGUAGES},
        body=bodies.counted,
        raw_body=bodies.raw,
        url=guide.url,
        payload=guide_document(guide),
        acknowledged=incident.state == "acknowledged",
    )
