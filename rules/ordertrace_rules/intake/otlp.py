"""OTLP over HTTP: logs and spans from OpenTelemetry's SDKs and collectors, as protobuf or JSON."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Blueprint, Request, Response, request
from flask.typing import ResponseReturnValue
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from ordertrace_rules.intake.http import check_token, read_body
from ordertrace_rules.intake.intake import Intake
from ordertrace_rules.intake.otlp_records import Object, ReadId, records_of_logs, records_of_traces
from ordertrace_rules.intake.refusals import Refused, answer_refusals

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
SOURCE = "otlp"
_Records = Callable[[Object, ReadId], Iterable[Mapping[str, Any]]]


def otlp_blueprint(intake: Intake, token: str) -> Blueprint:
    """`POST /v1/logs` and `/v1/traces`, where OpenTelemetry's exporters send to.

    The answer is 200 once all is stored, with `partial_success` where records were kept aside, 400 for a body that is
    no OTLP, 401 without a valid token, 413 beyond `MAX_BODY`, 415 for another encoding, 503 with Retry-After where
    the store does not answer. It is encoded as the request was. `token` is asked for as by `events_blueprint`.
    """
    blueprint = Blueprint("otlp", __name__)

    @blueprint.post("/v1/logs")
    def logs() -> ResponseReturnValue:
        answer = ExportLogsServiceResponse()
        rejected, why = _accept(ExportLogsServiceRequest(), records_of_logs)
        if rejected:
            answer.partial_success.rejected_log_records = rejected
            answer.partial_success.error_message = why
        return _encoded(answer)

    @blueprint.post("/v1/traces")
    def traces() -> ResponseReturnValue:
        answer = ExportTraceServiceResponse()
        rejected, why = _accept(ExportTraceServiceRequest(), records_of_traces)
        if rejected:
            answer.partial_success.rejected_spans = rejected
            answer.partial_success.error_message = why
        return _encoded(answer)

    def _accept(message: Message, records_of: _Records) -> tuple[int, str]:
        """Store what the request brings. How many were kept aside, and why."""
        check_token(request, token)
        try:
            records = list(records_of(*_decoded(request, message)))
        except (ValueError, RecursionError) as error:
            raise Refused(400, f"the body is no OTLP: {str(error)[:200]}") from None
        kept_aside = intake.accept(records, source=SOURCE).kept_aside
        why = ", ".join(f"{reason}: {count}" for reason, count in sorted(kept_aside.items()))
        return sum(kept_aside.values()), f"kept aside, by reason: {why}"

    answer_refusals(blueprint, _status)
    return blueprint


def _decoded(asked: Request, message: Message) -> tuple[Object, ReadId]:
    """The request as protobuf's JSON has it, and how its ids are to be read: in OTLP's JSON they are hex digits."""
    if asked.mimetype == JSON:
        document: Any = json.loads(read_body(asked))
        if not isinstance(document, dict):
            raise ValueError("an object is expected")
        return document, str.lower  # pyright: ignore[reportUnknownVariableType]
    if asked.mimetype != PROTOBUF:
        raise Refused(415, f"{asked.mimetype[:40]!r} is not read: send {PROTOBUF} or {JSON}")
    try:
        message.ParseFromString(read_body(asked))
    except DecodeError as error:
        raise ValueError(str(error)) from None
    return MessageToDict(message, use_integers_for_enums=True), lambda text: base64.b64decode(text).hex()


def _encoded(answer: Message) -> Response:
    if request.mimetype == JSON:
        return Response(json.dumps(MessageToDict(answer)), content_type=JSON)
    return Response(answer.SerializeToString(), content_type=PROTOBUF)


def _status(status: int, text: str) -> Response:
    """google.rpc.Status, as OTLP wants every refusal; of its fields the message alone."""
    if request.mimetype == PROTOBUF:
        said = text[:1000].encode()
        length = bytes([len(said)]) if len(said) < 128 else bytes([len(said) & 127 | 128, len(said) >> 7])
        return Response(b"\x12" + length + said, status, content_type=PROTOBUF)
    return Response(json.dumps({"message": text}), status, content_type=JSON)
