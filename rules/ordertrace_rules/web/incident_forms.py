"""What people do about an incident, on its page: forms that carry their session's token."""

from collections.abc import Callable

from flask import Blueprint, redirect, request
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from ordertrace_rules.actions.decisions import approve, decline
from ordertrace_rules.errors import Conflict, OrdertraceError, StoreUnavailable
from ordertrace_rules.feedback import checked_feedback, give_feedback
from ordertrace_rules.incidents import acknowledge
from ordertrace_rules.service import Service
from ordertrace_rules.web.access import check_form
from ordertrace_rules.web.found import found_action, found_incident
from ordertrace_rules.web.people import name_of_person
from ordertrace_rules.web.routes import incident_path


def add_forms(blueprint: Blueprint, service: Service) -> None:
    @blueprint.post("/incidents/<incident_id:incident_id>/acknowledge")
    def acknowledge_incident(incident_id: str) -> Response:
        check_form()
        by = name_of_person(request.form.get("by"))
        found = found_incident(service, incident_id)
        return _done(found.id, lambda: acknowledge(service.store, found.id, by, service.clock.now()))

    @blueprint.post("/incidents/<incident_id:incident_id>/feedback")
    def feedback_on_incident(incident_id: str) -> Response:
        check_form()
        found = found_incident(service, incident_id)
        verdict, by, cause, note = (request.form.get(name) for name in ("verdict", "by", "cause", "note"))

        def give() -> None:
            said = checked_feedback(verdict, by, service.clock.now(), cause, note)
            give_feedback(service.store, found.id, said)

        return _done(found.id, give)

    @blueprint.post("/incidents/<incident_id:incident_id>/actions/<action_id>")
    def decide_on_action(incident_id: str, action_id: str) -> Response:
        check_form()
        by = name_of_person(request.form.get("by"))
        found = found_incident(service, incident_id)
        found_action(found, action_id)
        decision = request.form.get("decision")
        if decision == "approve":
            return _done(
                found.id,
                lambda: approve(service.store, found.id, action_id, by, service.clock.now(), service.actions),
            )
        if decision == "decline":
            return _done(
                found.id, lambda: decline(service.store, found.id, action_id, by, service.clock.now())
            )
        raise BadRequest("decision: approve or decline.")


def _done(incident: str, act: Callable[[], object]) -> Response:
    """Back to the page once it is done; what cannot be done is said."""
    try:
        act()
    except (Conflict, StoreUnavailable):
        raise
    except OrdertraceError as error:
        raise BadRequest(str(error)) from None
    return redirect(incident_path(incident), 303)
