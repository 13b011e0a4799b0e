"""Deliveries and their log as commands and the API show them: what was sent to whom, without what it said."""

from typing import Any

from ordertrace_alerting.vocabulary import Attempt, Delivery
from ordertrace_rules.times import format_instant


def delivery_document(delivery: Delivery) -> dict[str, Any]:
    is_pending, finished = delivery.state == "pending", delivery.finished_at
    return {
        "key": delivery.key,
        "state": delivery.state,
        "target": delivery.target,
        "signals": list(delivery.signals),
        "title": delivery.title,
        "created_at": format_instant(delivery.created_at),
        "attempts": delivery.attempts,
        "next_attempt_at": format_instant(delivery.next_attempt_at) if is_pending else None,
        "finished_at": None if finished is None else format_instant(finished),
        "detail": delivery.detail,
    }


def attempt_document(attempt: Attempt) -> dict[str, Any]:
    return {
        "attempt": attempt.attempt,
        "at": format_instant(attempt.at),
        "result": attempt.result,
        "http_status": attempt.http_status,
        "provider_code": attempt.provider_code or None,
        "latency_ms": round(attempt.latency / 1e6, 1),
        "body_sha256": attempt.body_sha256,
        "detail": attempt.detail,
    }
