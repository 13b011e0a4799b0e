"""The schemas of the API's answers, in JSON Schema 2020-12. Every field is always there; what is not known is null."""

from typing import Any

Json = dict[str, Any]


def _object(**properties: Json) -> Json:
    """An object with these fields, all of them, and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _map(values: Json) -> Json:
    return {"type": "object", "additionalProperties": values}


def _or_null(schema: Json) -> Json:
    return {"oneOf": [schema, {"type": "null"}]}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _enum(*values: str) -> Json:
    return {"type": "string", "enum": list(values)}


_STRING: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_FLAG: Json = {"type": "boolean"}
_STRINGS = _list(_STRING)
_STRING_OR_NULL: Json = {"type": ["string", "null"]}
_NUMBER_OR_NULL: Json = {"type": ["number", "null"]}
_INSTANT: Json = {"type": "string", "format": "date-time"}
_INSTANT_OR_NULL: Json = {"type": ["string", "null"], "format": "date-time"}
_CERTAINTY = _enum("firm", "unverified")
_SEVERITY = _enum("critical", "warning", "info")
_MEMBER_STATE = _enum("open", "resolved", "withdrawn")
_INCIDENT_STATE = _enum("open", "acknowledged", "resolved", "withdrawn")
_TEXT_OR_NULL = _or_null(_ref("Text"))

_INCIDENT: dict[str, Json] = {
    "id": _STRING,
    "playbook": _STRING,
    "title": _TEXT_OR_NULL,
    "verdict": _TEXT_OR_NULL,
    "owner": _STRING_OR_NULL,
    "severity": _SEVERITY,
    "state": _INCIDENT_STATE,
    "certainty": _CERTAINTY,
    "since": _INSTANT,
    "opened_at": _INSTANT,
    "detected_at": _INSTANT,
    "resolved_at": _INSTANT_OR_NULL,
    "counts": _object(open=_COUNT, resolved=_COUNT, withdrawn=_COUNT),
    "amounts": {**_map(_NUMBER), "description": "Of the open members, by currency."},
    "cause": _or_null(_object(service=_STRING, summary=_ref("Text"), confidence=_NUMBER)),
    "cleared": {**_STRINGS, "description": "Services that were checked and show no contrast."},
    "missing": {**_STRINGS, "description": "Services whose logs would have to be there for it to be firm."},
    "assumed": {**_FLAG, "description": "Firm by the activity of a service that sends no heartbeat."},
    "explained_by": {**_STRING_OR_NULL, "description": "The incident that explains this one."},
    "acknowledged_by": _STRING_OR_NULL,
    "acknowledged_at": _INSTANT_OR_NULL,
    "actions": {**_list(_ref("Action")), "description": "Decided on or proposed."},
    "feedback": {**_list(_ref("Feedback")), "description": "One word of each person, the latest last."},
}

_MEMBER: dict[str, Json] = {
    "subject": {**_STRING, "description": "An order's id, a ref, or a service."},
    "order_ids": _STRINGS,
    "state": _MEMBER_STATE,
    "certainty": _CERTAINTY,
    "since": _INSTANT,
    "opened_at": _INSTANT,
    "detected_at": _INSTANT,
    "resolved_at": _INSTANT_OR_NULL,
    "withdrawn_at": _INSTANT_OR_NULL,
    "stage": _STRING_OR_NULL,
    "missing": _STRINGS,
    "assumed": _FLAG,
    "amount": _NUMBER_OR_NULL,
    "currency": _STRING_OR_NULL,
    "explained_by": _STRING_OR_NULL,
}

_JOURNEY: dict[str, Json] = {
    "process": _STRING,
    "subject": _STRING,
    "current_stage": _STRING_OR_NULL,
    "started_at": _INSTANT_OR_NULL,
    "last_event_at": _INSTANT_OR_NULL,
    "ended_at": _INSTANT_OR_NULL,
    "ended_by": _STRING_OR_NULL,
    "set_aside": {**_STRING_OR_NULL, "description": "Why it is not judged."},
    "stages": _list(_ref("Stage")),
}

_STAGE = _object(
    id=_STRING,
    title=_ref("Text"),
    state=_enum("waiting", "running", "done", "failed", "skipped"),
    started_at=_INSTANT_OR_NULL,
    ended_at=_INSTANT_OR_NULL,
    deadline=_INSTANT_OR_NULL,
    overdue=_FLAG,
    owner=_STRING_OR_NULL,
    unknown=_list(
        _object(
            **{
                "service": _STRING,
                "from": _INSTANT,
                "to": {**_INSTANT_OR_NULL, "description": "null: it lasts"},
                "assumed": {
                    **_FLAG,
                    "description": "Its latest records may be on their way: it sends no heartbeat, or the next is due.",
                },
            }
        )
    ),
)

_TRACE_INCIDENT = _object(
    id=_STRING,
    playbook=_STRING,
    verdict=_ref("Text"),
    state=_MEMBER_STATE,
    certainty=_CERTAINTY,
    since=_INSTANT,
    opened_at=_INSTANT,
    explained_by=_STRING_OR_NULL,
)

_PULSE: dict[str, Json] = {
    "ticks": _COUNT,
    "failures": _COUNT,
    "events": _COUNT,
    "orphans": _COUNT,
    "last_tick_at": _INSTANT_OR_NULL,
    "last_tick_seconds": _NUMBER,
    "last_error": _STRING_OR_NULL,
    "leading": _FLAG,
    "problems": _STRINGS,
}

SCHEMAS: dict[str, Json] = {
    "Text": {
        "type": "object",
        "description": "A sentence by language.",
        "properties": {"en": _STRING, "zh": _STRING},
        "required": ["en"],
        "additionalProperties": False,
    },
    "Problem": _object(type=_STRING, title=_STRING, status={"type": "integer"}, detail=_STRING),
    "Incident": _object(**_INCIDENT),
    "IncidentWithMembers": _object(**_INCIDENT, members=_list(_ref("Member"))),
    "IncidentPage": _object(incidents=_list(_ref("Incident")), next=_STRING_OR_NULL),
    "Member": _object(**_MEMBER),
    "MemberPage": _object(members=_list(_ref("Member")), next=_STRING_OR_NULL),
    "Acknowledgement": _object(by={"type": "string", "minLength": 1, "maxLength": 100}),
    "Guide": _object(
        incident=_STRING,
        playbook=_STRING,
        title=_ref("Text"),
        severity=_SEVERITY,
        state=_INCIDENT_STATE,
        certainty=_CERTAINTY,
        made_at=_INSTANT,
        url=_STRING,
        sections=_list(
            _object(
                id=_STRING,
                title=_ref("Text"),
                numbered=_FLAG,
                lines=_list(_object(text=_ref("Text"), owner=_STRING, href=_STRING, log_lines=_STRINGS)),
            )
        ),
    ),
    "Feedback": _object(
        verdict=_enum("right", "wrong_cause", "not_a_problem"),
        by=_STRING,
        at=_INSTANT,
        cause=_STRING_OR_NULL,
        note=_STRING_OR_NULL,
    ),
    "Action": _object(
        id=_STRING,
        kind=_enum("manual_review", "notify_customer", "ticket", "degrade"),
        title=_ref("Text"),
        state=_enum("proposed", "approved", "declined", "done", "failed"),
        by=_STRING_OR_NULL,
        at=_INSTANT_OR_NULL,
        automatic={**_FLAG, "description": "Approved by ordertrace, as the site lets it with safe ones."},
        count={**_COUNT, "description": "Open members when it was approved."},
        finished_at=_INSTANT_OR_NULL,
        result={**_STRING_OR_NULL, "description": "Of the latest attempt."},
    ),
    "Decision": {
        "type": "object",
        "properties": {"decision": _enum("approve", "decline"), "by": _STRING},
        "required": ["decision", "by"],
    },
    "Reviews": _object(
        reviews=_list(
            _object(
                incident=_STRING, playbook=_STRING, open=_COUNT, approved_by=_STRING, approved_at=_INSTANT
            )
        )
    ),
    "FeedbackGiven": {
        "type": "object",
        "properties": {
            "verdict": _enum("right", "wrong_cause", "not_a_problem"),
            "by": _STRING,
            "cause": {**_STRING, "description": "With wrong_cause: the service that it was."},
            "note": _STRING,
        },
        "required": ["verdict", "by"],
    },
    "PlaybookStats": _object(
        days=_COUNT,
        playbooks=_list(
            _object(
                playbook=_STRING,
                fired=_COUNT,
                open=_COUNT,
                withdrawn=_COUNT,
                right=_COUNT,
                wrong_cause=_COUNT,
                not_a_problem=_COUNT,
                precision={**_NUMBER_OR_NULL, "description": "The share of the judged that were right."},
            )
        ),
    ),
    "OrderHits": _object(orders=_list(_object(order_id=_STRING, matched=_STRING))),
    "Stage": _STAGE,
    "Journey": _object(**_JOURNEY),
    "Trace": _object(
        order_id=_STRING,
        **_JOURNEY,
        refs=_map(_STRINGS),
        labels=_map(_STRING),
        amount=_NUMBER_OR_NULL,
        currency=_STRING_OR_NULL,
        status_by_service=_map(_STRING),
        incidents=_list(_TRACE_INCIDENT),
        related={**_list(_ref("Journey")), "description": "Its returns, shipments …"},
        events={
            **_list({"type": "object", "required": ["@timestamp", "event.id"]}),
            "description": "In dotted ECS, as they happened.",
        },
    ),
    "Playbooks": _object(
        playbooks=_list(
            _object(
                id=_STRING,
                version={"type": "integer"},
                title=_ref("Text"),
                verdict=_ref("Text"),
                process=_STRING,
                severity=_SEVERITY,
                owner=_STRING_OR_NULL,
                stage=_STRING_OR_NULL,
                unless=_STRINGS,
                depends_on=_STRINGS,
                group_by=_STRINGS,
                suspects=_STRINGS,
                actions=_list(_object(kind=_STRING, title=_ref("Text"))),
            )
        )
    ),
    "Processes": _object(
        processes=_list(
            _object(
                id=_STRING,
                version={"type": "integer"},
                subject=_STRING,
                title=_ref("Text"),
                ends=_STRINGS,
                stages=_list(
                    _object(
                        id=_STRING,
                        title=_ref("Text"),
                        starts=_STRINGS,
                        ends=_STRINGS,
                        fails=_STRINGS,
                        services=_STRINGS,
                        target_seconds=_NUMBER_OR_NULL,
                        warning_seconds=_NUMBER_OR_NULL,
                        owner=_STRING_OR_NULL,
                    )
                ),
            )
        )
    ),
    "ServicePulse": _object(
        tick=_object(**_PULSE), deliveries=_object(**_PULSE, by_state=_map(_COUNT)), events=_COUNT
    ),
    "KeptAside": _object(
        by_reason=_map(_COUNT),
        records=_list(_object(id=_STRING, at=_INSTANT, source=_STRING, reason=_STRING, raw=_STRING)),
    ),
    "Accepted": _object(new=_COUNT, known=_COUNT, dropped=_COUNT, kept_aside=_map(_COUNT)),
}
