"""What becomes of a record on its way through a real Fluentd into a real Elasticsearch."""

import json
from importlib.resources import files
from typing import Any

from fluent.sender import FluentSender

from ordertrace_instrumentation.identity import DEFAULT_NAMESPACE

from .conftest import Fluentd, Stream, eventually

VECTORS: list[dict[str, str]] = json.loads(
    files("ordertrace_instrumentation").joinpath("identity_vectors.json").read_text(encoding="utf-8")
)["vectors"]


def send(fluentd: Fluentd, *records: dict[str, Any], tag: str = "shop") -> None:
    sender = FluentSender(tag, port=fluentd.port, nanosecond_precision=True)
    for record in records:
        assert sender.emit(None, record), sender.last_error
    sender.close()


def by_name(stream: Stream, count: int) -> dict[str, dict[str, Any]]:
    eventually(lambda: stream.count() >= count)
    return {d["labels.case"]: d for d in stream.events()}


def test_trace_ids_are_those_of_the_published_vectors(fluentd: Fluentd, stream: Stream) -> None:
    mine = [v for v in VECTORS if v["namespace"] == DEFAULT_NAMESPACE and v["order_id"].strip()]
    assert len(mine) > 10
    send(fluentd, *({"labels.case": v["order_id"], "order.id": v["order_id"]} for v in mine))
    found = by_name(stream, len(mine))
    assert {v["order_id"]: found[v["order_id"]]["order.trace_id"] for v in mine} == {
        v["order_id"]: v["order_trace_id"] for v in mine
    }
