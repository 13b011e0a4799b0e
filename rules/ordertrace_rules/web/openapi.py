"""The OpenAPI 3.1 document of the API. Tests compare it with the routes, and real answers with its schemas."""

from functools import cache
from typing import Any

from flask import current_app

from ordertrace_rules.web.schemas import SCHEMAS

Json = dict[str, Any]


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
            **_act_paths(),
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
    of_incident = [_path("incident_id", "The incident's id, such as paid_not_reserved-1.")]
    return {
        "/api/v1/incidents": {
            "get": _operation(
                "incidents",
                "Incidents, the latest detected first.",
                [_states(states), _LIMIT, _AFTER],
                {"200": _json("IncidentPage"), "400": _PROBLEM},
            )
        },
        "/api/v1/incidents/{incident_id}": {
            "get": _operation(
                "incident",
                "One incident with its counts, cause, cleared suspects, and the first of its members.",
                of_incident,
                {"200": _json("IncidentWithMembers"), "404": _PROBLEM},
            )
        },
        "/api/v1/incidents/{incident_id}/members": {
            "get": _operation(
                "members",
                "The orders (or services) of an incident, by key.",
                [*of_incident, _states(["open", "resolved", "withdrawn"]), _LIMIT, _AFTER],
                {"200": _json("MemberPage"), "400": _PROBLEM, "404": _PROBLEM},
            )
        },
        "/api/v1/incidents/{incident_id}/guide": {
            "get": _operation(
                "guide",
                "The troubleshooting guide as it stands now.",
                [
                    *of_incident,
                    _query(
                        "format",
                        {"enum": ["json", "markdown", "text", "html"], "default": "json"},
                        "How it is written.",
                    ),
                    _query("language", {"enum": ["en", "zh"]}, "Of all but json. Default: the site's."),
                ],
                {
                    "200": {
                        "description": "The guide.",
                        "content": {
                            "application/json": {"schema": _ref("Guide")},
                            "text/markdown": {"schema": {"type": "string"}},
                            "text/plain": {"schema": {"type": "string"}},
                            "text/html": {"schema": {"type": "string"}},
                        },
                    },
                    "400": _PROBLEM,
                    "404": _PROBLEM,
                },
            )
        },
        "/api/v1/incidents/{incident_id}/acknowledge": {
            "post": {
                **_operation(
                    "acknowledge_incident",
                    "Say that a person has taken the incident on. A second time changes nothing.",
                    of_incident,
                    {"200": _json("Incident"), "400": _PROBLEM, "404": _PROBLEM, "409": _PROBLEM},
                ),
                "requestBody": _body("Acknowledgement"),
            }
        },
    }


def _act_paths() -> dict[str, Json]:
    of_incident = [_path("incident_id", "The incident's id, such as paid_not_reserved-1.")]
    return {
        "/api/v1/incidents/{incident_id}/feedback": {
            "post": {
                **_operation(
                    "give_feedback_on_incident",
                    "Say whether the incident was right. Another word of the same person replaces the first.",
                    of_incident,
                    {"200": _json("Incident"), "400": _PROBLEM, "404": _PROBLEM, "409": _PROBLEM},
                ),
                "requestBody": _body("FeedbackGiven"),
            }
        },
        "/api/v1/incidents/{incident_id}/actions/{action_id}": {
            "post": {
                **_operation(
                    "decide_on_action_of_incident",
                    "Approve or decline a proposed action. It is executed once; a second time changes nothing.",
                    [*of_incident, _path("action_id", "The action's id, such as ticket-1a2b3c4d.")],
                    {"200": _json("Incident"), "400": _PROBLEM, "404": _PROBLEM, "409": _PROBLEM},
                ),
                "requestBody": _body("Decision"),
            }
        },
        "/api/v1/reviews": {
            "get": _operation(
                "review_queue",
                "The incidents whose open orders wait for manual review; `members` of each lists them.",
                [],
                {"200": _json("Reviews")},
            )
        },
        "/api/v1/playbooks/stats": {
            "get": _operation(
                "stats_of_playbooks",
                "How often each playbook fired, and what people said of it.",
                [
                    _query(
                        "days", {"type": "integer", "minimum": 1, "maximum": 3650}, "The last so many (90)."
                    )
                ],
                {"200": _json("PlaybookStats"), "400": _PROBLEM},
            )
        },
    }


def _order_paths() -> dict[str, Json]:
    return {
        "/api/v1/orders": {
            "get": _operation(
                "orders",
                "Orders that any id leads to: an exact id first, then ids that begin with it.",
                [
                    {
                        **_query("q", {"type": "string", "minLength": 1}, "The id, as pasted."),
                        "required": True,
                    },
                    _LIMIT,
                ],
                {"200": _json("OrderHits"), "400": _PROBLEM},
            )
        },
        "/api/v1/orders/{order_id}": {
            "get": _operation(
                "order",
                "One order: its stages, ids, incidents and events. A slash in an id is sent as %2F.",
                [_path("order_id", "The order's own id.")],
                {"200": _json("Trace"), "404": _PROBLEM},
            )
        },
    }


def _catalogue_paths() -> dict[str, Json]:
    return {
        "/api/v1/playbooks": {
            "get": _operation("playbooks", "The playbooks that are loaded.", [], {"200": _json("Playbooks")})
        },
        "/api/v1/processes": {
            "get": _operation("processes", "The processes that are loaded.", [], {"200": _json("Processes")})
        },
        "/api/v1/pulse": {
            "get": _operation("pulse", "How the schedules are doing.", [], {"200": _json("ServicePulse")})
        },
        "/api/v1/kept-aside": {
            "get": _operation(
                "kept_aside",
                "Records that could not be read, the latest first.",
                [_LIMIT],
                {"200": _json("KeptAside"), "400": _PROBLEM},
            )
        },
        "/api/v1/openapi.json": {
            "get": _operation(
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
        "202": _json("Accepted", "All are stored, or were known before."),
        "207": _json("Accepted", "Stored, but for the records that were kept aside."),
        **dict.fromkeys(("400", "401", "413", "415", "503"), _PROBLEM),
    }
    return {
        "/api/v1/events": {
            "post": {
                **_operation(
                    "unnamed",
                    "Send events. On the answer they are durable; the same `event.id` twice is one event.",
                    [_query("source", {"type": "string"}, "A name for where they come from.")],
                    responses,
                ),
                "requestBody": body,
            }
        },
        "/api/v1/events/{source}": {
            "post": {
                **_operation(
                    "take",
                    "Send events as a source that the settings name, with its own token and mapping.",
                    [_path("source", "The source's name in the settings.")],
                    {**responses, "404": _PROBLEM},
                ),
                "requestBody": body,
            }
        },
    }


def _operation(name: str, summary: str, parameters: list[Json], responses: Json) -> Json:
    """An operation named after the function that answers it."""
    everywhere: Json = {} if "401" in responses else {"401": _PROBLEM}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": parameters,
        "responses": {**responses, **everywhere},
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(name: str, description: str = "As asked.") -> Json:
    return {"description": description, "content": {"application/json": {"schema": _ref(name)}}}


def _body(name: str) -> Json:
    return {"required": True, "content": {"application/json": {"schema": _ref(name)}}}


def _path(name: str, description: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
    }


def _query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _states(known: list[str]) -> Json:
    schema = {"type": "array", "items": {"enum": known}}
    return {**_query("state", schema, "Only these; all where none is named."), "explode": False}


_PROBLEM: Json = {
    "description": "What is wrong and what to do.",
    "content": {"application/problem+json": {"schema": _ref("Problem")}},
}
_LIMIT: Json = _query("limit", {"type": "integer", "minimum": 1, "maximum": 500}, "Rows of a page.")
_AFTER: Json = _query("after", {"type": "string"}, "The `next` of the page before.")
