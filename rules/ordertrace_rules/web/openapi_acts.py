"""The OpenAPI document of what people do about incidents, and of who is told of them."""

from ordertrace_rules.web.openapi_parts import (
    LIMIT,
    PROBLEM,
    Json,
    json_of,
    operation,
    path,
    query,
    states_of,
)


def act_paths() -> dict[str, Json]:
    of_incident = [path("incident_id", "The incident's id, such as paid_not_reserved-1.")]
    return {
        "/api/v1/incidents/{incident_id}/feedback": {
            "post": operation(
                "give_feedback_on_incident",
                "Say whether the incident was right. Another word of the same person replaces the first.",
                of_incident,
                {"200": json_of("Incident"), "400": PROBLEM, "404": PROBLEM, "409": PROBLEM},
                body="FeedbackGiven",
            )
        },
        "/api/v1/incidents/{incident_id}/actions/{action_id}": {
            "post": operation(
                "decide_on_action_of_incident",
                "Approve or decline a proposed action. It is executed once; a second time changes nothing.",
                [*of_incident, path("action_id", "The action's id, such as ticket-1a2b3c4d.")],
                {"200": json_of("Incident"), "400": PROBLEM, "404": PROBLEM, "409": PROBLEM},
                body="Decision",
            )
        },
        "/api/v1/reviews": {
            "get": operation(
                "review_queue",
                "The incidents whose open orders wait for manual review; `members` of each lists them.",
                [],
                {"200": json_of("Reviews")},
            )
        },
        "/api/v1/deliveries": {
            "get": operation(
                "deliveries",
                "What was sent to whom, the latest first, with its log.",
                [query("state", {"enum": ["all", "pending", "sent", "dead"]}, "Only these."), LIMIT],
                {"200": json_of("Deliveries"), "400": PROBLEM},
            )
        },
        "/api/v1/deliveries/{key}/resend": {
            "post": operation(
                "resend_delivery",
                "Send a delivery again with the next tick, under the same key.",
                [path("key", "The delivery's key.")],
                {"200": json_of("Delivery"), "400": PROBLEM, "404": PROBLEM},
                body="Nothing",
            )
        },
        "/api/v1/silences": {
            "get": operation(
                "silences",
                "Silences by their end: those that hold, are to begin, and were over lately.",
                [states_of(["active", "pending", "ended"])],
                {"200": json_of("Silences"), "400": PROBLEM},
            ),
            "post": operation(
                "add_silence",
                "Begin a silence: what all its matchers match is not told until it ends.",
                [],
                {"201": json_of("Silence", "It is kept."), "400": PROBLEM},
                body="SilenceAsked",
            ),
        },
        "/api/v1/silences/{silence_id}/end": {
            "post": operation(
                "end_silence",
                "End a silence now. A second time changes nothing.",
                [path("silence_id", "The silence's id.")],
                {"200": json_of("Silence"), "400": PROBLEM, "404": PROBLEM},
                body="Nothing",
            )
        },
        "/api/v1/playbooks/stats": {
            "get": operation(
                "stats_of_playbooks",
                "How often each playbook fired, and what people said of it.",
                [query("days", {"type": "integer", "minimum": 1, "maximum": 3650}, "The last so many (90).")],
                {"200": json_of("PlaybookStats"), "400": PROBLEM},
            )
        },
    }
