"""Incidents, members, playbooks and processes as the API and the command line write them."""

from typing import Any

from ordertrace_rules.actions.decisions import action_id, undecided
from ordertrace_rules.feedback import PlaybookStats
from ordertrace_rules.scheduler import Pulse
from ordertrace_rules.stores.protocol import KeptAside
from ordertrace_rules.times import NS, format_instant
from ordertrace_rules.trace import instant_or_none
from ordertrace_rules.vocabulary import Action, Feedback, Incident, Member, Playbook, Process, ProposedAction


def incident_document(incident: Incident, playbook: Playbook | None) -> dict[str, Any]:
    """An incident in a list; `playbook` is None where its file is gone."""
    diagnosis = incident.diagnosis
    cause = diagnosis.cause if diagnosis is not None else None
    return {
        "id": incident.id,
        "playbook": incident.playbook,
        "title": dict(playbook.title) if playbook else None,
        "verdict": dict(playbook.verdict) if playbook else None,
        "owner": (playbook.owner or None) if playbook else None,
        "severity": incident.severity,
        "state": incident.state,
        "certainty": incident.certainty,
        "since": format_instant(incident.since),
        "opened_at": format_instant(incident.opened_at),
        "detected_at": format_instant(incident.detected_at),
        "resolved_at": instant_or_none(incident.resolved_at),
        "counts": {
            "open": incident.open_count,
            "resolved": incident.resolved_count,
            "withdrawn": incident.withdrawn_count,
        },
        "amounts": dict(incident.amounts),
        "cause": None
        if cause is None
        else {
            "service": cause.service,
            "summary": dict(cause.summary),
            "confidence": round(cause.confidence, 4),
        },
        "cleared": [cleared.service for cleared in diagnosis.cleared] if diagnosis is not None else [],
        "missing": list(incident.missing),
        "assumed": incident.assumed,
        "explained_by": incident.explained_by or None,
        "acknowledged_by": incident.acknowledged_by or None,
        "acknowledged_at": instant_or_none(incident.acknowledged_at),
        "actions": [*map(_action_document, incident.actions), *map(_proposed_document, undecided(incident))],
        "feedback": [_feedback_document(each) for each in incident.feedback],
    }


def _action_document(action: Action) -> dict[str, Any]:
    return {
        "id": action.id,
        "kind": action.kind,
        "title": dict(action.title),
        "state": action.state,
        "by": action.by,
        "at": format_instant(action.at),
        "automatic": action.automatic,
        "count": action.count,
        "finished_at": instant_or_none(action.finished_at),
        "result": action.result or None,
    }


def _proposed_document(proposed: ProposedAction) -> dict[str, Any]:
    nothing_yet = {
        "by": None,
        "at": None,
        "automatic": False,
        "count": 0,
        "finished_at": None,
        "result": None,
    }
    said = {"id": action_id(proposed), "kind": proposed.kind, "title": dict(proposed.title)}
    return {**said, "state": "proposed", **nothing_yet}


def _feedback_document(feedback: Feedback) -> dict[str, Any]:
    return {
        "verdict": feedback.verdict,
        "by": feedback.by,
        "at": format_instant(feedback.at),
        "cause": feedback.cause or None,
        "note": feedback.note or None,
    }


def stats_document(stats: PlaybookStats) -> dict[str, Any]:
    precision = stats.precision
    return {
        "playbook": stats.playbook,
        "fired": stats.fired,
        "open": stats.open,
        "withdrawn": stats.withdrawn,
        "right": stats.right,
        "wrong_cause": stats.wrong_cause,
        "not_a_problem": stats.not_a_problem,
        "precision": None if precision is None else round(precision, 4),
    }


def member_document(member: Member) -> dict[str, Any]:
    return {
        "subject": member.subject,
        "order_ids": list(member.order_ids),
        "state": member.state,
        "certainty": member.certainty,
        "since": format_instant(member.since),
        "opened_at": format_instant(member.opened_at),
        "detected_at": format_instant(member.detected_at),
        "resolved_at": instant_or_none(member.resolved_at),
        "withdrawn_at": instant_or_none(member.withdrawn_at),
        "stage": member.stage or None,
        "missing": list(member.missing),
        "assumed": member.assumed,
        "amount": member.amount,
        "currency": member.currency or None,
        "explained_by": member.explained_by or None,
    }


def playbook_document(playbook: Playbook) -> dict[str, Any]:
    return {
        "id": playbook.id,
        "version": playbook.version,
        "title": dict(playbook.title),
        "verdict": dict(playbook.verdict),
        "process": playbook.process,
        "severity": playbook.severity,
        "owner": playbook.owner or None,
        "stage": playbook.stage or None,
        "unless": list(playbook.unless),
        "depends_on": list(playbook.depends_on),
        "group_by": list(playbook.group_by),
        "suspects": list(playbook.suspects),
        "actions": [{"kind": action.kind, "title": dict(action.title)} for action in playbook.actions],
    }


def process_document(process: Process) -> dict[str, Any]:
    return {
        "id": process.id,
        "version": process.version,
        "subject": process.subject,
        "title": dict(process.title),
        "ends": list(process.ends),
        "stages": [
            {
                "id": stage.id,
                "title": dict(stage.title),
                "starts": list(stage.starts),
                "ends": list(stage.ends),
                "fails": list(stage.fails),
                "services": list(stage.services),
                "target_seconds": None if stage.target is None else stage.target / NS,
                "warning_seconds": None if stage.warning is None else stage.warning / NS,
                "owner": stage.owner or None,
            }
            for stage in process.stages
        ],
    }


def kept_aside_document(record: KeptAside) -> dict[str, Any]:
    return {
        "id": record.id,
        "at": format_instant(record.at),
        "source": record.source,
        "reason": record.reason,
        "raw": record.raw,
    }


def pulse_document(pulse: Pulse) -> dict[str, Any]:
    return {
        "ticks": pulse.ticks,
        "failures": pulse.failures,
        "events": pulse.events,
        "orphans": pulse.orphans,
        "last_tick_at": None
        if pulse.last_tick_at is None
        else format_instant(round(pulse.last_tick_at * NS)),
        "last_tick_seconds": pulse.last_tick_seconds,
        "last_error": pulse.last_error or None,
        "leading": pulse.leading,
        "problems": list(pulse.problems),
    }
