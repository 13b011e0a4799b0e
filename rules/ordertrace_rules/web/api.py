"""The REST API under /api/v1. What each route takes and gives is written down in `openapi`."""

from collections.abc import Sequence
from typing import Any, cast

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.exceptions import Conflict as ConflictError

from ordertrace_rules.errors import OrdertraceError
from ordertrace_rules.incidents import acknowledge
from ordertrace_rules.kibana import site_kibana
from ordertrace_rules.relay import guide_of
from ordertrace_rules.rendering.json import guide_document
from ordertrace_rules.rendering.templates import Form
from ordertrace_rules.service import Service
from ordertrace_rules.silences import silence_document
from ordertrace_rules.trace import as_pasted, trace_document, trace_order
from ordertrace_rules.vocabulary import LANGUAGES, MemberStatus
from ordertrace_rules.web.bodies import asked_limit, asked_states, json_object
from ordertrace_rules.web.deliveries import add_deliveries
from ordertrace_rules.web.documents import (
    incident_document,
    kept_aside_document,
    member_document,
    playbook_document,
    process_document,
    pulse_document,
)
from ordertrace_rules.web.found import found_incident
from ordertrace_rules.web.incident_acts import add_decisions, add_feedback
from ordertrace_rules.web.openapi import openapi_document
from ordertrace_rules.web.people import name_of_person
from ordertrace_rules.web.reviews import add_reviews
from ordertrace_rules.web.silences import add_silences, kept_silences, muting

PREFIX = "/api/v1"
SAMPLE = 20  # members shown with their incident

INCIDENT_STATES = ("open", "acknowledged", "resolved", "withdrawn")
CONTENT_TYPES: dict[Form, str] = {"markdown": "text/markdown", "text": "text/plain", "html": "text/html"}
MEMBER_STATES = ("open", "resolved", "withdrawn")


def api_blueprint(service: Service) -> Blueprint:
    blueprint = Blueprint("api", __name__, url_prefix=PREFIX)
    blueprint.get("/openapi.json", endpoint="openapi")(openapi_document)
    _add_incidents(blueprint, service)
    add_feedback(blueprint, service)
    add_decisions(blueprint, service)
    add_reviews(blueprint, service)
    add_silences(blueprint, service)
    add_deliveries(blueprint, service)
    _add_orders(blueprint, service)
    _add_catalogue(blueprint, service)
    _add_inner_life(blueprint, service)
    return blueprint


def _add_incidents(blueprint: Blueprint, service: Service) -> None:
    playbooks = {p.id: p for p in service.catalogue.playbooks}

    @blueprint.get("/incidents")
    def incidents() -> dict[str, Any]:
        states = asked_states(INCIDENT_STATES)
        try:
            page = service.views.incidents(
                states=states, after=request.args.get("after", ""), limit=asked_limit()
            )
        except ValueError as error:
            raise BadRequest(f"after: {error}") from None
        rows = [incident_document(incident, playbooks.get(incident.playbook)) for incident in page.rows]
        return {"incidents": rows, "next": page.next or None}

    @blueprint.get("/incidents/<incident_id:incident_id>")
    def incident(incident_id: str) -> dict[str, Any]:
        found = found_incident(service, incident_id)
        members = service.store.members(found.id, limit=SAMPLE)
        playbook, now = playbooks.get(found.playbook), service.clock.now()
        muted_by = muting(kept_silences(service), found, playbook, now)
        return {
            **incident_document(found, playbook),
            "members": [member_document(m) for m in members],
            "silences": [silence_document(each, now) for each in muted_by],
        }

    @blueprint.get("/incidents/<incident_id:incident_id>/members")
    def members(incident_id: str) -> dict[str, Any]:
        found = found_incident(service, incident_id)
        states = cast(tuple[MemberStatus, ...], asked_states(MEMBER_STATES))
        limit = asked_limit()
        rows = service.store.members(found.id, states, limit + 1, request.args.get("after", ""))
        following = rows[limit - 1].id if len(rows) > limit else None
        return {"members": [member_document(m) for m in rows[:limit]], "next": following}

    @blueprint.get("/incidents/<incident_id:incident_id>/guide")
    def guide(incident_id: str) -> Response:
        found = found_incident(service, incident_id)
        form = _choice("format", ("json", "markdown", "text", "html"))
        language = _choice("language", (service.settings.language, *LANGUAGES))
        playbook = playbooks.get(found.playbook)
        if playbook is None:
            raise NotFound(f"The playbook “{found.playbook}” is no longer loaded, so there is no guide.")
        base_url = service.settings.public_url
        kibana = site_kibana(service.settings)
        written = guide_of(
            service.store, service.catalogue, found, playbook, base_url, service.clock.now(), kibana
        )
        if form == "json":
            return jsonify(guide_document(written))
        kind = cast(Form, form)
        text = service.templates.render(kind, written, language)
        return Response(text, content_type=f"{CONTENT_TYPES[kind]}; charset=utf-8")

    @blueprint.post("/incidents/<incident_id:incident_id>/acknowledge")
    def acknowledge_incident(incident_id: str) -> dict[str, Any]:
        by = name_of_person(json_object().get("by"))
        found = found_incident(service, incident_id)
        try:
            changed = acknowledge(service.store, found.id, by, service.clock.now())
        except OrdertraceError as error:
            raise ConflictError(str(error)) from None
        return incident_document(changed, playbooks.get(changed.playbook))


def _add_orders(blueprint: Blueprint, service: Service) -> None:
    @blueprint.get("/orders")
    def orders() -> dict[str, Any]:
        text = as_pasted(request.args.get("q", ""))
        if not text:
            raise BadRequest(
                "q: give an order's id, or any id that belongs to it (a payment's, a waybill's)."
            )
        hits = service.views.orders(text, asked_limit(20))
        return {"orders": [{"order_id": hit.order_id, "matched": hit.matched} for hit in hits]}

    @blueprint.get("/orders/<order_id:order_id>")
    def order(order_id: str) -> dict[str, Any]:
        trace = trace_order(service, order_id)
        if trace is None:
            raise NotFound(
                "No record speaks of this order. Search for any of its ids with /api/v1/orders?q=."
            )
        return trace_document(trace)


def _add_catalogue(blueprint: Blueprint, service: Service) -> None:
    @blueprint.get("/playbooks")
    def playbooks() -> dict[str, Any]:
        return {"playbooks": [playbook_document(p) for p in service.catalogue.playbooks]}

    @blueprint.get("/processes")
    def processes() -> dict[str, Any]:
        return {"processes": [process_document(p) for p in service.catalogue.processes.values()]}


def _add_inner_life(blueprint: Blueprint, service: Service) -> None:
    @blueprint.get("/pulse")
    def pulse() -> dict[str, Any]:
        return {
            "tick": pulse_document(service.pulse),
            "deliveries": {**pulse_document(service.alert_pulse), "by_state": dict(service.alerts.counts())},
            "events": service.store.count_events(),
        }

    @blueprint.get("/kept-aside")
    def kept_aside() -> dict[str, Any]:
        records = service.store.kept_aside(asked_limit())
        return {
            "by_reason": service.store.count_kept_aside(),
            "records": [kept_aside_document(record) for record in records],
        }


def _choice(name: str, known: Sequence[str]) -> str:
    """The first is the default."""
    given = request.args.get(name, known[0])
    if given not in known:
        raise BadRequest(f"{name}: one of {', '.join(dict.fromkeys(known))}, not “{given[:40]}”.")
    return given
