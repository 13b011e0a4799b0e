"""Events over HTTP: for platforms and carriers that give webhooks, and for whatever can POST JSON."""

import hmac
import json
from collections.abc import Mapping
from typing import Any, cast

from flask import Blueprint, Request, Response, jsonify, request
from flask.typing import ResponseReturnValue

from ordertrace_rules.intake import cloudevents
from ordertrace_rules.intake.forward_protocol import FrameError, inflate
from ordertrace_rules.intake.intake import Accepted, Intake
from ordertrace_rules.intake.refusals import Refused, answer_refusals
from ordertrace_rules.problem_details import problem
from ordertrace_rules.settings import WebhookSource

MAX_BODY = 16 * 1024 * 1024  # bytes, inflated too


def events_blueprint(intake: Intake, sources: Mapping[str, WebhookSource], token: str) -> Blueprint:
    """`POST /api/v1/events` and `/api/v1/events/<source>`.

    The body is JSON lines, a JSON array, one object, or CloudEvents (structured, batched or binary), gzip
    too. The answer is 202 with the counts, 207 where some records were kept aside, 401 without a valid token,
    404 for an unknown source, 413 beyond `MAX_BODY`, 503 where the store does not answer: then send it again.
    Errors are application/problem+json.

    `token` is asked for as `Authorization: Bearer TOKEN` or as the password of Basic; where it is empty,
    nothing is asked, since such a service listens on loopback alone. A source has its own token, its own
    mapping, and its name as `source`.
    """
    blueprint = Blueprint("events", __name__)

    @blueprint.post("/api/v1/events")
    def unnamed() -> ResponseReturnValue:
        name = request.args.get("source", "")
        if name in sources:
            return take(name)
        check_token(request, token)
        return _answer(_accept(intake, request, source=name[:100] or "http", mapping=None))

    @blueprint.post("/api/v1/events/<source>")
    def take(source: str) -> ResponseReturnValue:
        known = sources.get(source)
        check_token(request, token, *([known.token] if known else []))
        if known is None:
            raise Refused(
                404, f"there is no source named {source[:60]!r}: name it under “sources” in the settings"
            )
        mapping = intake.mappings.name_of(known.mapping) if known.mapping is not None else None
        return _answer(_accept(intake, request, source=source, mapping=mapping))

    answer_refusals(blueprint, problem)
    return blueprint


def check_token(asked: Request, *valid: str) -> None:
    """Any of the tokens opens the door; an empty one stands for no door."""
    given = ""
    if asked.authorization is not None:
        given = asked.authorization.token or asked.authorization.password or ""
    # every comparison is made, so that the time taken says nothing
    matches = [hmac.compare_digest(given.encode(), token.encode()) for token in valid if token]
    if matches and not any(matches):
        raise Refused(401, "send a valid token: “Authorization: Bearer TOKEN”")


def _accept(intake: Intake, asked: Request, source: str, mapping: str | None) -> Accepted:
    return intake.accept(_records(asked), source=source, mapping=mapping)


def _records(asked: Request) -> list[object]:
    body = read_body(asked)
    kind = asked.mimetype
    context = cloudevents.of_headers(dict(asked.headers))
    if context:
        return [cloudevents.with_context(context, body)]
    if kind.startswith("text/"):
        return list(body.splitlines())
    try:
        decoded: object = json.loads(body)
    except (ValueError, RecursionError):
        return _lines(body, whole=kind == "application/json" or kind.endswith("+json"))
    records = cast(list[object], decoded) if isinstance(decoded, list) else [decoded]
    return [
        cloudevents.record_of(cast(Mapping[str, Any], r)) if cloudevents.is_cloudevent(r) else r
        for r in records
    ]


def _lines(body: bytes, *, whole: bool) -> list[object]:
    """JSON lines. A body that says it is JSON, and is not even lines of it, is one record that is kept aside."""
    lines: list[object] = [line for line in body.split(b"\n") if line.strip()]
    if whole and lines:
        try:
            json.loads(cast(bytes, lines[0]))
        except (ValueError, RecursionError):
            return [body]
    return lines


def read_body(asked: Request) -> bytes:
    """The body, inflated. Raises Refused (400, 415) or RequestEntityTooLarge."""
    asked.max_content_length = MAX_BODY
    body = asked.get_data(cache=False)  # raises 413 beyond it
    encoding = asked.headers.get("Content-Encoding", "identity").lower()
    if encoding == "identity":
        return body
    if encoding != "gzip":
        raise Refused(415, f"the encoding {encoding[:20]!r} is not read: send gzip, or none")
    try:
        return inflate(body, MAX_BODY)
    except FrameError as error:
        raise Refused(413 if error.reason == "too_large" else 400, f"the gzip body {error.detail}") from None


def _answer(accepted: Accepted) -> tuple[Response, int]:
    counts = {
        "new": accepted.new,
        "known": accepted.known,
        "dropped": accepted.dropped,
        "kept_aside": dict(accepted.kept_aside),
    }
    return jsonify(counts), 207 if accepted.kept_aside else 202
