"""Why Elasticsearch does not do what it was asked, in its own words, and what to do about it."""

from collections.abc import Mapping
from typing import Any, cast

from elasticsearch import ApiError

_DISK_FULL = "read-only-allow-delete"  # in the reason of the block at the flood-stage watermark
_NO_CONTEXT = "search_context_missing_exception"


def said(error: ApiError, place: str, *, ours: bool) -> str:
    """The message for an answer of the cluster at `place` that is an error; `ours` is what was asked for."""
    body: Any = error.body
    reason = reason_of(cast(Mapping[str, Any], body)) if isinstance(body, dict) else str(error.message)
    message = f"Elasticsearch at {place} says {error.status_code}: {reason}"
    if error.status_code == 401:
        return f"{message}; set es_username and es_password, or es_api_key"
    if error.status_code == 403:
        return f"{message}; docs/elasticsearch-setup.md lists the privileges that its user needs"
    if has_lost_its_context(error):
        return f"{message}; the next reading opens another point in time"
    if error.status_code == 404 and ours:
        return f"{message}; run `ordertrace setup elasticsearch`"
    return message


def reason_of(answer: Mapping[str, Any]) -> str:
    """The reason in an answer, or in one item of it: the first cause, not that all shards failed for it."""
    error: Any = answer.get("error")
    if not isinstance(error, dict):
        return str(error)
    stated = cast(dict[str, Any], error)
    if stated.get("type") == "search_phase_execution_exception":
        stated = next(iter(stated.get("root_cause") or ()), stated)
    reason = f"{stated.get('type')}: {stated.get('reason')}"
    if _DISK_FULL in reason:
        return (
            f"{reason} The disk of a node is nearly full: make room (old logs, a shorter `retention` with "
            "`ordertrace setup elasticsearch`) or add disk; the block ends by itself below the high watermark"
        )
    return reason


def has_lost_its_context(error: ApiError) -> bool:
    """Whether a point in time was asked for that expired, or ended with its server."""
    return error.status_code == 404 and _NO_CONTEXT in str(error.body)
