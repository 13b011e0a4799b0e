"""The OpenAPI document of what people do about incidents: feedback, decisions on actions, reviews."""

from ordertrace_rules.web.openapi_parts import PROBLEM, Json, body_of, json_of, operation, path, query


def act_paths() -> dict[str, Json]:
    of_incident = [path("incident_id", "The incident's id, such as paid_not_reserved-1.")]
    return {
        "/api/v1/incidents/{incident_id}/feedback": {
            "post": {
                **operation(
                    "give_feedback_on_incident",
                    "Say whether the incident was right. Another word of the same person replaces the first.",
                    of_incident,
                    {"200": json_of("Incident"), "400": PROBLEM, "404": PROBLEM, "409": PROBLEM},
                ),
                "requestBody": body_of("FeedbackGiven"),
            }
        },
        "/api/v1/incidents/{incident_id}/actions/{action_id}": {
            "post": {
                **operation(
                    "decide_on_action_of_incident",
                    "Approve or decline a proposed action. It is executed once; a second time changes nothing.",
                    [*of_incident, path("action_id", "The action's id, such as ticket-1a2b3c4d.")],
                    {"200": json_of("Incident"), "400": PROBLEM, "404": PROBLEM, "409": PROBLEM},
                ),
                "requestBody": body_of("Decision"),
            }
        },
        "/api/v1/reviews": {
            "get": operation(
                "review_queue",
                "The incidents whose open orders wait for manual review; `members` of each lists them.",
                [],
                {"200": json_of("Reviews")},
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
