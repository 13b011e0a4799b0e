"""Journeys, members, incidents and bindings as documents: the whole as text, and the columns that queries read."""

from typing import Any

from ordertrace_rules.aliases import value_of
from ordertrace_rules.stores.codec import encode
from ordertrace_rules.stores.database import plain, whole
from ordertrace_rules.stores.search import search_keys
from ordertrace_rules.times import format_instant
from ordertrace_rules.vocabulary import Binding, Incident, Journey, Member, StageState

Document = dict[str, Any]
_SECOND = 1e9


def journey_document(journey: Journey) -> Document:
    standing = journey.stage(journey.current_stage)
    deadline = standing.deadline if standing else None
    keys = sorted({tuple(plain(part) for part in key[:3]) for key in search_keys(journey)})
    return {
        "document": encode(journey),
        "id": plain(journey.id),
        "process": plain(journey.process),
        "subject": plain(journey.subject),
        "order_ids": [plain(order_id) for order_id in journey.order_ids],
        "current_stage": plain(journey.current_stage),
        "set_aside": journey.set_aside,
        "due": whole(journey.next_deadline),
        "standing_deadline": whole(deadline),
        "last": whole(journey.last_event_at),
        "is_ended": journey.ended_at is not None,
        "passed": [
            {"stage": plain(s.id), "at": whole(s.ended_at)}
            for s in journey.stages
            if s.state == "done" and s.ended_at is not None
        ],
        "known": sorted({at for at in map(whole, journey.known_since.values()) if at is not None}),
        "keys": [{"value": value, "kind": kind, "order_id": order_id} for value, kind, order_id in keys],
        "values": sorted({value for value, _, _ in keys}),
        "stage_deadline": _shown(deadline),
        "next_deadline": _shown(journey.next_deadline),
        "last_event_at": _shown(journey.last_event_at),
        "ended_at": _shown(journey.ended_at),
        "stages": [_stage(stage) for stage in journey.stages],
    }


def member_document(member: Member) -> Document:
    return {
        "document": encode(member),
        "id": plain(member.id),
        "incident": plain(member.incident),
        "subject": plain(member.subject),
        "state": member.state,
        "certainty": member.certainty,
        "assumed": member.assumed,
        "explained": bool(member.explained_by),
        "settled": member.settled,
        "since": whole(member.since),
        "opened": whole(member.opened_at),
        "detected": whole(member.detected_at),
        "resolved": whole(member.resolved_at),
        "amount": member.amount,
        "currency": plain(member.currency),
        "missing": [plain(service) for service in member.missing],
    }


def incident_document(incident: Incident) -> Document:
    return {
        "document": encode(incident),
        "id": plain(incident.id),
        "playbook": plain(incident.playbook),
        "group": plain(incident.group),
        "episode": incident.episode,
        "state": incident.state,
        "is_open": incident.is_open,
        "detected": whole(incident.detected_at),
        "touched": whole(max(incident.detected_at, incident.updated_at, incident.resolved_at or 0)),
        "relay": whole(incident.transitions[0].at) if incident.transitions else None,
    }


def binding_document(binding: Binding) -> Document:
    return {
        "id": plain(binding.id),
        "key": plain(binding.key),
        "target": plain(binding.target),
        "value": plain(value_of(binding.key)),
        "since": whole(binding.since),
        "issuer": plain(binding.issuer),
    }


def read_binding(source: Document) -> Binding:
    return Binding(source["key"], source["target"], source["since"], source["issuer"])


def _stage(stage: StageState) -> Document:
    seconds = None
    if stage.started_at is not None and stage.ended_at is not None:
        seconds = (stage.ended_at - stage.started_at) / _SECOND
    return {
        "id": plain(stage.id),
        "state": stage.state,
        "started_at": _shown(stage.started_at),
        "ended_at": _shown(stage.ended_at),
        "seconds": seconds,
    }


def _shown(instant: int | None) -> str | None:
    """As Kibana reads it; an instant that no date holds is left out."""
    return format_instant(instant) if instant is not None and 0 <= instant < (1 << 63) else None
