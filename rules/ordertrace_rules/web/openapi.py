"""The OpenAPI 3.1 document of the API. Tests compare it with the routes, and real answers with its schemas."""

from functools import cache

from flask import current_app

from ordertrace_rules.web.openapi_acts import act_paths
from ordertrace_rules.web.openapi_parts import (
    AFTER,
    LIMIT,
    PROBLEM,
    Json,
    json_of,
    operation,
    path,
    query,
    ref,
    states_of,
)
from ordertrace_rules.web.schemas import SCHEMAS


@cache
def openapi_document() -> Json:
    """The document as served; built once."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ordertrace",
            "version": current_app.config["ORDERTRACE_VERSION"],
            "description": (
                "Where is this order, since when, why, how many others, who does what now. "
                "Instants are RFC 3339 in UTC. Errors are application/problem+json (RFC 9457)."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"session": []}],
        "paths": {
            **_incident_paths(),
            **act_paths(),
            **_order_paths(),
            **_catalogue_paths(),
            **_events_paths(),
        },
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The service's token."},
                "session": {"type": "apiKey", "in": "cookie", "name": "ordertrace_session"},
            },
            "schemas": SCHEMAS,
        },
    }


def _incident_paths() -> dict[str, Json]:
    states = ["open", "acknowledged", "resolved", "withdrawn"]
    of_incident = [path("incident_id", "The incident's id, such as paid_not_reserved-1.")]
    return {
        "/api/v1/incidents": {
            "get": operation(
                "incidents",
                "Incidents, the latest detected first.",
                [states_of(states), LIMIT, AFTER],
                {"200": json_of("IncidentPage"), "400": PROBLEM},
            )
        },
        "/api/v1/incidents/{incident_id}": {
            "get": operation(
                "incident",
                "One incident with its counts, cause, cleared suspects, and the first of its members.",
                of_incident,
                {"200": json_of("IncidentWithMembers"), "404": PROBLEM},
            )
        },
        "/api/v1/incidents/{incident_id}/members": {
            "get": operation(
                "members",
                "The orders (or services) of an incident, by key.",
                [*of_incident, states_of(["open", "resolved", "withdrawn"]), LIMIT, AFTER],
                {"200": json_of("MemberPage"), "400": PROBLEM, "404": PROBLEM},
            )
        },
        "/api/v1/incidents/{incident_id}/guide": {
            "get": operation(
                "guide",
                "The troubleshooting guide as it stands now.",
                [
                    *of_incident,
                    query(
                        "format",
                        {"enum": ["json", "markdown", "text", "html"], "default": "json"},
                        "How it is written.",
                    ),
                    query("language", {"enum": ["en", "zh"]}, "Of all but json. Default: the site's."),
                ],
                {
                    "200": {
                        "description": "The guide.",
                        "content": {
                            "application/json": {"schema": ref("Guide")},
                            "text/markdown": {"schema": {"type": "string"}},
                            "text/plain": {"schema": {"type": "string"}},
                            "text/html": {"schema": {"type": "string"}},
                        },
                    },
                    "400": PROBLEM,
                    "404": PROBLEM,
                },
            )
        },
        "/api/v1/incidents/{incident_id}/acknowledge": {
            "post": operation(
                "acknowledge_incident",
                "Say that a person has taken the incident on. A second time changes nothing.",
                of_incident,
                {"200": json_of("Incident"), "400": PROBLEM, "404": PROBLEM, "409": PROBLEM},
                body="Acknowledgement",
            )
        },
    }


def _order_paths() -> dict[str, Json]:
    return {
        "/api/v1/orders": {
            "get": operation(
                "orders",
                "Orders that any id leads to: an exact id first, then ids that begin with it.",
                [
                    {
                        **query("q", {"type": "string", "minLength": 1}, "The id, as pasted."),
                        "required": True,
                    },
                    LIMIT,
                ],
                {"200": json_of("OrderHits"), "400": PROBLEM},
            )
        },
        "/api/v1/orders/{order_id}": {
            "get": operation(
                "order",
                "One order: its stages, ids, incidents and events. A slash in an id is sent as %2F.",
                [path("order_id", "The order's own id.")],
                {"200": json_of("Trace"), "404": PROBLEM},
            )
        },
    }


def _catalogue_paths() -> dict[str, Json]:
    return {
        "/api/v1/playbooks": {
            "get": operation("playbooks", "The playbooks that are loaded.", [], {"200": json_of("Playbooks")})
        },
        "/api/v1/processes": {
            "get": operation("processes", "The processes that are loaded.", [], {"200": json_of("Processes")})
        },
        "/api/v1/pulse": {
            "get": operation("pulse", "How the schedules are doing.", [], {"200": json_of("ServicePulse")})
        },
        "/api/v1/kept-aside": {
            "get": operation(
                "kept_aside",
                "Records that could not be read, the latest first.",
                [LIMIT],
                {"200": json_of("KeptAside"), "400": PROBLEM},
            )
        },
        "/api/v1/openapi.json": {
            "get": operation(
                "openapi",
                "This document.",
                [],
                {
                    "200": {
                        "description": "OpenAPI 3.1.",
                        "content": {"application/json": {"schema": {"type": "object"}}},
                    }
                },
            )
        },
    }


def _events_paths() -> dict[str, Json]:
    document = {"schema": {"oneOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}]}}
    lines = {"schema": {"type": "string"}}
    body: Json = {
        "required": True,
        "description": "Records in Elastic Common Schema, at most 16 MiB; Content-Encoding: gzip is understood.",
        "content": {
            "application/x-ndjson": lines,
            "application/json": document,
            "application/cloudevents+json": document,
            "application/cloudevents-batch+json": document,
            "text/plain": lines,
        },
    }
    responses: Json = {
        "202": json_of("Accepted", "All are stored, or were known before."),
        "207": json_of("Accepted", "Stored, but for the records that were kept aside."),
        **dict.fromkeys(("400", "401", "413", "415", "503"), PROBLEM),
    }
    return {
        "/api/v1/events": {
            "post": {
                **operation(
                    "unnamed",
                    "Send events. On the answer they are durable; the same `event.id` twice is one event.",
                    [query("source", {"type": "string"}, "A name for where they come from.")],
                    responses,
                ),
                "requestBody": body,
            }
        },
        "/api/v1/events/{source}": {
            "post": {
                **operation(
                    "take",
                    "Send events as a source that the settings name, with its own token and mapping.",
                    [path("source", "The source's name in the settings.")],
                    {**responses, "404": PROBLEM},
                ),
                "requestBody": body,
            }
        },
    }
