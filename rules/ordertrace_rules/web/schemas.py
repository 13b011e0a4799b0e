"""The schemas of the API's answers, in JSON Schema 2020-12. Every field is always there; what is not known is null."""

from ordertrace_rules.web.schema_parts import (
    COUNT,
    FLAG,
    INSTANT,
    INSTANT_OR_NULL,
    NUMBER,
    NUMBER_OR_NULL,
    STRING,
    STRING_OR_NULL,
    STRINGS,
    Json,
    enum,
    list_of,
    map_of,
    object_of,
    or_null,
    ref,
)
from ordertrace_rules.web.schemas_acts import ACT_SCHEMAS

_CERTAINTY = enum("firm", "unverified")
_SEVERITY = enum("critical", "warning", "info")
_MEMBER_STATE = enum("open", "resolved", "withdrawn")
_INCIDENT_STATE = enum("open", "acknowledged", "resolved", "withdrawn")
_TEXT_OR_NULL = or_null(ref("Text"))

_INCIDENT: dict[str, Json] = {
    "id": STRING,
    "playbook": STRING,
    "title": _TEXT_OR_NULL,
    "verdict": _TEXT_OR_NULL,
    "owner": STRING_OR_NULL,
    "severity": _SEVERITY,
    "state": _INCIDENT_STATE,
    "certainty": _CERTAINTY,
    "since": INSTANT,
    "opened_at": INSTANT,
    "detected_at": INSTANT,
    "resolved_at": INSTANT_OR_NULL,
    "counts": object_of(open=COUNT, resolved=COUNT, withdrawn=COUNT),
    "amounts": {**map_of(NUMBER), "description": "Of the open members, by currency."},
    "cause": or_null(object_of(service=STRING, summary=ref("Text"), confidence=NUMBER)),
    "cleared": {**STRINGS, "description": "Services that were checked and show no contrast."},
    "missing": {**STRINGS, "description": "Services whose logs would have to be there for it to be firm."},
    "assumed": {**FLAG, "description": "Firm by the activity of a service that sends no heartbeat."},
    "explained_by": {**STRING_OR_NULL, "description": "The incident that explains this one."},
    "acknowledged_by": STRING_OR_NULL,
    "acknowledged_at": INSTANT_OR_NULL,
    "actions": {**list_of(ref("Action")), "description": "Decided on or proposed."},
    "feedback": {**list_of(ref("Feedback")), "description": "One word of each person, the latest last."},
}

_MEMBER: dict[str, Json] = {
    "subject": {**STRING, "description": "An order's id, a ref, or a service."},
    "order_ids": STRINGS,
    "state": _MEMBER_STATE,
    "certainty": _CERTAINTY,
    "since": INSTANT,
    "opened_at": INSTANT,
    "detected_at": INSTANT,
    "resolved_at": INSTANT_OR_NULL,
    "withdrawn_at": INSTANT_OR_NULL,
    "stage": STRING_OR_NULL,
    "missing": STRINGS,
    "assumed": FLAG,
    "amount": NUMBER_OR_NULL,
    "currency": STRING_OR_NULL,
    "explained_by": STRING_OR_NULL,
}

_JOURNEY: dict[str, Json] = {
    "process": STRING,
    "subject": STRING,
    "current_stage": STRING_OR_NULL,
    "started_at": INSTANT_OR_NULL,
    "last_event_at": INSTANT_OR_NULL,
    "ended_at": INSTANT_OR_NULL,
    "ended_by": STRING_OR_NULL,
    "set_aside": {**STRING_OR_NULL, "description": "Why it is not judged."},
    "stages": list_of(ref("Stage")),
}

_STAGE = object_of(
    id=STRING,
    title=ref("Text"),
    state=enum("waiting", "running", "done", "failed", "skipped"),
    started_at=INSTANT_OR_NULL,
    ended_at=INSTANT_OR_NULL,
    deadline=INSTANT_OR_NULL,
    overdue=FLAG,
    end_before_start_seconds={
        **NUMBER,
        "description": "By how much its end bears an earlier time than its start, as clocks differ. Else 0.",
    },
    owner=STRING_OR_NULL,
    unknown=list_of(
        object_of(
            **{
                "service": STRING,
                "from": INSTANT,
                "to": {**INSTANT_OR_NULL, "description": "null: it lasts"},
                "assumed": {
                    **FLAG,
                    "description": "Its latest records may be on their way: it sends no heartbeat, or the next is due.",
                },
            }
        )
    ),
)

_TRACE_INCIDENT = object_of(
    id=STRING,
    playbook=STRING,
    verdict=ref("Text"),
    state=_MEMBER_STATE,
    certainty=_CERTAINTY,
    since=INSTANT,
    opened_at=INSTANT,
    explained_by=STRING_OR_NULL,
)

_PULSE: dict[str, Json] = {
    "ticks": COUNT,
    "failures": COUNT,
    "events": COUNT,
    "orphans": COUNT,
    "last_tick_at": INSTANT_OR_NULL,
    "last_tick_seconds": NUMBER,
    "last_error": STRING_OR_NULL,
    "leading": FLAG,
    "problems": STRINGS,
}

SCHEMAS: dict[str, Json] = {
    "Text": {
        "type": "object",
        "description": "A sentence by language.",
        "properties": {"en": STRING, "zh": STRING},
        "required": ["en"],
        "additionalProperties": False,
    },
    "Problem": object_of(type=STRING, title=STRING, status={"type": "integer"}, detail=STRING),
    "Incident": object_of(**_INCIDENT),
    "IncidentWithMembers": object_of(
        **_INCIDENT,
        members=list_of(ref("Member")),
        silences={**list_of(ref("Silence")), "description": "Those for which nobody is told of it now."},
    ),
    "IncidentPage": object_of(incidents=list_of(ref("Incident")), next=STRING_OR_NULL),
    "Member": object_of(**_MEMBER),
    "MemberPage": object_of(members=list_of(ref("Member")), next=STRING_OR_NULL),
    "Acknowledgement": object_of(by={"type": "string", "minLength": 1, "maxLength": 100}),
    "Guide": object_of(
        incident=STRING,
        playbook=STRING,
        title=ref("Text"),
        severity=_SEVERITY,
        state=_INCIDENT_STATE,
        certainty=_CERTAINTY,
        made_at=INSTANT,
        url=STRING,
        sections=list_of(
            object_of(
                id=STRING,
                title=ref("Text"),
                numbered=FLAG,
                lines=list_of(object_of(text=ref("Text"), owner=STRING, href=STRING, log_lines=STRINGS)),
            )
        ),
    ),
    "OrderHits": object_of(orders=list_of(object_of(order_id=STRING, matched=STRING))),
    "Stage": _STAGE,
    "Journey": object_of(**_JOURNEY),
    "Trace": object_of(
        order_id=STRING,
        **_JOURNEY,
        refs=map_of(STRINGS),
        labels=map_of(STRING),
        amount=NUMBER_OR_NULL,
        currency=STRING_OR_NULL,
        status_by_service=map_of(STRING),
        incidents=list_of(_TRACE_INCIDENT),
        related={**list_of(ref("Journey")), "description": "Its returns, shipments …"},
        events={
            **list_of({"type": "object", "required": ["@timestamp", "event.id"]}),
            "description": "In dotted ECS, as they happened.",
        },
    ),
    "Playbooks": object_of(
        playbooks=list_of(
            object_of(
                id=STRING,
                version={"type": "integer"},
                title=ref("Text"),
                verdict=ref("Text"),
                process=STRING,
                severity=_SEVERITY,
                owner=STRING_OR_NULL,
                stage=STRING_OR_NULL,
                unless=STRINGS,
                depends_on=STRINGS,
                group_by=STRINGS,
                suspects=STRINGS,
                actions=list_of(object_of(kind=STRING, title=ref("Text"))),
            )
        )
    ),
    "Processes": object_of(
        processes=list_of(
            object_of(
                id=STRING,
                version={"type": "integer"},
                subject=STRING,
                title=ref("Text"),
                ends=STRINGS,
                stages=list_of(
                    object_of(
                        id=STRING,
                        title=ref("Text"),
                        starts=STRINGS,
                        ends=STRINGS,
                        fails=STRINGS,
                        services=STRINGS,
                        target_seconds=NUMBER_OR_NULL,
                        warning_seconds=NUMBER_OR_NULL,
                        owner=STRING_OR_NULL,
                    )
                ),
            )
        )
    ),
    "ServicePulse": object_of(
        tick=object_of(**_PULSE), deliveries=object_of(**_PULSE, by_state=map_of(COUNT)), events=COUNT
    ),
    "KeptAside": object_of(
        by_reason=map_of(COUNT),
        records=list_of(object_of(id=STRING, at=INSTANT, source=STRING, reason=STRING, raw=STRING)),
    ),
    "Accepted": object_of(new=COUNT, known=COUNT, dropped=COUNT, kept_aside=map_of(COUNT)),
    **ACT_SCHEMAS,
}
