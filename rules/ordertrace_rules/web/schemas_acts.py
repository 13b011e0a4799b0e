"""The schemas of what people do about incidents: feedback, actions, silences, reviews."""

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
    object_of,
    ref,
)

_DELIVERY: dict[str, Json] = {
    "key": {**STRING, "description": "The message's id for its receiver."},
    "state": enum("pending", "sent", "dead"),
    "target": STRING,
    "signals": {**STRINGS, "description": "incident:transition, of each that it tells."},
    "title": STRING,
    "created_at": INSTANT,
    "attempts": COUNT,
    "next_attempt_at": {**INSTANT_OR_NULL, "description": "While it is pending."},
    "finished_at": INSTANT_OR_NULL,
    "detail": {**STRING, "description": "What became of the latest attempt."},
}

ACT_SCHEMAS: dict[str, Json] = {
    "Delivery": object_of(**_DELIVERY),
    "Deliveries": object_of(
        deliveries=list_of(
            object_of(
                **_DELIVERY,
                log=list_of(
                    object_of(
                        attempt=COUNT,
                        at=INSTANT,
                        result=enum("ok", "retry", "permanent"),
                        http_status={"type": ["integer", "null"]},
                        provider_code=STRING_OR_NULL,
                        latency_ms=NUMBER,
                        body_sha256=STRING,
                        detail=STRING,
                    )
                ),
            )
        )
    ),
    "Feedback": object_of(
        verdict=enum("right", "wrong_cause", "not_a_problem"),
        by=STRING,
        at=INSTANT,
        cause=STRING_OR_NULL,
        note=STRING_OR_NULL,
    ),
    "Action": object_of(
        id=STRING,
        kind=enum("manual_review", "notify_customer", "ticket", "degrade"),
        title=ref("Text"),
        state=enum("proposed", "approved", "declined", "done", "failed"),
        by=STRING_OR_NULL,
        at=INSTANT_OR_NULL,
        automatic={**FLAG, "description": "Approved by ordertrace, as the site lets it with safe ones."},
        count={**COUNT, "description": "Open members when it was approved."},
        finished_at=INSTANT_OR_NULL,
        result={**STRING_OR_NULL, "description": "Of the latest attempt."},
    ),
    "Decision": {
        "type": "object",
        "properties": {"decision": enum("approve", "decline"), "by": STRING},
        "required": ["decision", "by"],
    },
    "Silence": object_of(
        id=STRING,
        state={
            **enum("active", "pending", "ended"),
            "description": "It holds, is to begin, or is over.",
        },
        matchers=STRINGS,
        author=STRING,
        reason=STRING,
        starts_at=INSTANT,
        ends_at=INSTANT,
    ),
    "Silences": object_of(silences=list_of(ref("Silence"))),
    "SilenceAsked": {
        "type": "object",
        "properties": {
            "matchers": {
                **STRINGS,
                "description": 'Such as playbook = "paid_not_reserved"; all have to hold.',
            },
            "by": STRING,
            "reason": STRING,
            "duration": {**STRING, "description": "30m, 2h, 3d; this or `ends_at`."},
            "ends_at": INSTANT,
            "starts_at": {**INSTANT, "description": "Default: now."},
        },
        "required": ["matchers", "by", "reason"],
    },
    "Nothing": {"type": "object", "description": "An empty object: {}."},
    "Reviews": object_of(
        reviews=list_of(
            object_of(incident=STRING, playbook=STRING, open=COUNT, approved_by=STRING, approved_at=INSTANT)
        )
    ),
    "FeedbackGiven": {
        "type": "object",
        "properties": {
            "verdict": enum("right", "wrong_cause", "not_a_problem"),
            "by": STRING,
            "cause": {**STRING, "description": "With wrong_cause: the service that it was."},
            "note": STRING,
        },
        "required": ["verdict", "by"],
    },
    "PlaybookStats": object_of(
        days=COUNT,
        playbooks=list_of(
            object_of(
                playbook=STRING,
                fired=COUNT,
                open=COUNT,
                withdrawn=COUNT,
                right=COUNT,
                wrong_cause=COUNT,
                not_a_problem=COUNT,
                precision={**NUMBER_OR_NULL, "description": "The share of the judged that were right."},
            )
        ),
    ),
}
