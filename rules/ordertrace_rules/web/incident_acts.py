"""What people do about an incident, through the API: feedback, and decisions on proposed actions."""

from typing import Any

from flask import Blueprint, request
from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import Conflict as ConflictError

from ordertrace_rules.actions.decisions import approve, decline
from ordertrace_rules.errors import Conflict, OrdertraceError, StoreUnavailable
from ordertrace_rules.feedback import checked_feedback, give_feedback, playbook_stats
from ordertrace_rules.service import Service
from ordertrace_rules.times import DAY
from ordertrace_rules.web.bodies import json_object
from ordertrace_rules.web.documents import incident_document, stats_document
from ordertrace_rules.web.found import found_action, found_incident
from ordertrace_rules.web.people import name_of_person

DAYS = 90
MOST_DAYS = 3650


def add_feedback(blueprint: Blueprint, service: Service) -> None:
    @blueprint.post("/incidents/<incident_id:incident_id>/feedback")
    def give_feedback_on_incident(incident_id: str) -> dict[str, Any]:
        body = json_object()
        found = found_incident(service, incident_id)
        try:
            feedback = checked_feedback(
                body.get("verdict"), body.get("by"), service.clock.now(), body.get("cause"), body.get("note")
            )
        except OrdertraceError as error:
            raise BadRequest(str(error)) from None
        changed = give_feedback(service.store, found.id, feedback)
        return incident_document(changed, service.catalogue.playbook(changed.playbook))

    @blueprint.get("/playbooks/stats")
    def stats_of_playbooks() -> dict[str, Any]:
        days = asked_days()
        since = service.clock.now() - days * DAY
        counted = playbook_stats(service.views, service.catalogue.playbooks, since)
        return {"days": days, "playbooks": [stats_document(each) for each in counted]}


def asked_days() -> int:
    """`days` of the query. Raises BadRequest."""
    given = request.args.get("days", str(DAYS))
    if not (given.isascii() and given.isdigit() and len(given) < 6 and 1 <= int(given) <= MOST_DAYS):
        raise BadRequest(f"days: a whole number from 1 to {MOST_DAYS}, not “{given[:20]}”.")
    return int(given)


def add_decisions(blueprint: Blueprint, service: Service) -> None:
    @blueprint.post("/incidents/<incident_id:incident_id>/actions/<action_id>")
    def decide_on_action_of_incident(incident_id: str, action_id: str) -> dict[str, Any]:
        body = json_object()
        found = found_incident(service, incident_id)
        found_action(found, action_id)
        by = name_of_person(body.get("by"))
        now = service.clock.now()
        decision = body.get("decision")
        try:
            if decision == "approve":
                changed = approve(service.store, found.id, action_id, by, now, service.actions)
            elif decision == "decline":
                changed = decline(service.store, found.id, action_id, by, now)
            else:
                raise BadRequest("decision: approve or decline.")
        except (Conflict, StoreUnavailable):
            raise
        except OrdertraceError as error:
            raise ConflictError(str(error)) from None
        return incident_document(changed, service.catalogue.playbook(changed.playbook))
