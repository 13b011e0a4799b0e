"""Events over HTTP."""

import base64
import gzip
import json
from http import HTTPStatus
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ordertrace_rules.clock import SetClock
from ordertrace_rules.errors import StoreUnavailable
from ordertrace_rules.event import Event
from ordertrace_rules.intake.http import MAX_BODY, events_blueprint
from ordertrace_rules.intake.intake import Intake
from ordertrace_rules.intake.mapping_file import load_mappings
from ordertrace_rules.settings import WebhookSource
from ordertrace_rules.stores.memory import MemoryStore

AT = "2026-03-01T00:00:00Z"
URL = "/api/v1/events"
MAPPING = """
mapping: courier
rules:
  - name: signed
    when: {fields: {state: DELIVERED}}
    time: {from: at, format: epoch_ms}
    set: {event.action: delivery.signed, service.name: courier, order.refs.tracking_no: "{waybill}"}
"""


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def client_of(store: MemoryStore, tmp_path: Path, token: str = "") -> FlaskClient:
    mapping = tmp_path / "courier.yaml"
    mapping.write_text(MAPPING)
    intake = Intake(store, SetClock(1), load_mappings([], on_request=[mapping]))
    app = Flask("test")
    app.register_blueprint(events_blueprint(intake, {"courier": WebhookSource("c-token", mapping)}, token))
    return app.test_client()


@pytest.fixture
def client(store: MemoryStore, tmp_path: Path) -> FlaskClient:
    return client_of(store, tmp_path)


def stored(store: MemoryStore) -> list[Event]:
    return list(store.arrivals("", 1000).events)


def record(number: int) -> dict[str, object]:
    return {"@timestamp": AT, "order.id": f"SO-{number}"}


def is_problem(answer: TestResponse, status: int) -> bool:
    """Whether the answer is Problem Details of RFC 9457 with this status."""
    assert answer.mimetype == "application/problem+json"
    document = answer.get_json(force=True)
    assert set(document) == {"type", "title", "status", "detail"}
    assert (document["type"], document["title"]) == ("about:blank", HTTPStatus(status).phrase)
    return answer.status_code == document["status"] == status and bool(document["detail"])


def jsonl(*records: object) -> bytes:
    return "\n".join(json.dumps(r) for r in records).encode()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (jsonl(record(1), record(2)), "application/x-ndjson"),
        (jsonl(record(1), record(2)), "application/json"),
        (jsonl(record(1), record(2)), "application/x-www-form-urlencoded"),
        (jsonl(record(1), record(2)), "text/plain"),
        (jsonl(record(1), record(2)), ""),
        (json.dumps([record(1), record(2)]).encode(), "application/json"),
        (json.dumps([record(1), record(2)], indent=2).encode(), "application/x-ndjson"),
    ],
)
def test_lines_and_arrays_are_taken_whatever_the_sender_calls_them(
    body: bytes, kind: str, client: FlaskClient, store: MemoryStore
) -> None:
    answer = client.post(URL, data=body, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == 202
    assert answer.json == {"new": 2, "known": 0, "dropped": 0, "kept_aside": {}}
    assert [e.order_id for e in stored(store)] == ["SO-1", "SO-2"]


def test_one_object_may_stretch_over_lines(client: FlaskClient) -> None:
    assert client.post(URL, data=json.dumps(record(1), indent=2)).json["new"] == 1  # type: ignore[index]


def test_a_repeat_is_known(client: FlaskClient) -> None:
    client.post(URL, json=record(1))
    assert client.post(URL, json=record(1)).json == {"new": 0, "known": 1, "dropped": 0, "kept_aside": {}}


def test_what_cannot_be_read_is_kept_aside_and_answered_with_207(
    client: FlaskClient, store: MemoryStore
) -> None:
    answer = client.post(URL, data=jsonl(record(1), {"no": "time"}) + b"\n{broken\n5")
    assert answer.status_code == 207
    assert answer.json == {
        "new": 1,
        "known": 0,
        "dropped": 0,
        "kept_aside": {"no_time": 1, "bad_json": 1, "not_json": 1},
    }
    assert len(store.kept_aside(10)) == 3


def test_broken_json_is_one_record_and_not_one_a_line(client: FlaskClient, store: MemoryStore) -> None:
    body = json.dumps(record(1), indent=2)[:-2]
    assert client.post(URL, data=body, content_type="application/json").json["kept_aside"] == {"bad_json": 1}  # type: ignore[index]
    assert len(store.kept_aside(10)) == 1


CLOUDEVENT = {
    "specversion": "1.0",
    "id": "42",
    "source": "/shop",
    "type": "order.placed",
    "time": AT,
    "subject": "SO-9",
    "data": {"order": {"id": "SO-9"}},
}


@pytest.mark.parametrize("form", ["structured", "batched", "binary", "base64", "text"])
def test_cloudevents_are_taken_in_every_form(form: str, client: FlaskClient, store: MemoryStore) -> None:
    data = json.dumps(CLOUDEVENT["data"])
    headers = {f"ce-{k}": str(v) for k, v in CLOUDEVENT.items() if k != "data"}
    rest = {k: v for k, v in CLOUDEVENT.items() if k != "data"}
    body, headers = {
        "structured": (
            json.dumps(CLOUDEVENT),
            {"Content-Type": "application/cloudevents+json; charset=utf-8"},
        ),
        "batched": (json.dumps([CLOUDEVENT]), {"Content-Type": "application/cloudevents-batch+json"}),
        "binary": (data, {"Content-Type": "application/json", **headers}),
        "base64": (json.dumps(rest | {"data_base64": base64.b64encode(data.encode()).decode()}), {}),
        "text": (json.dumps(rest | {"data": data}), {}),
    }[form]
    for _ in range(2):
        assert client.post(URL, data=body, headers=headers).status_code == 202
    (event,) = stored(store)
    assert (event.order_id, event.action, event.extra["cloudevents.subject"]) == (
        "SO-9",
        "order.placed",
        "SO-9",
    )
    assert (len(event.id), event.extra["cloudevents.id"]) == (32, "42")


def test_gzip_is_read_and_a_bomb_is_not(client: FlaskClient, store: MemoryStore) -> None:
    packed = {"Content-Encoding": "gzip"}
    assert client.post(URL, data=gzip.compress(jsonl(record(1))), headers=packed).status_code == 202
    bomb = gzip.compress(b" " * (MAX_BODY + 1))
    assert is_problem(client.post(URL, data=bomb, headers=packed), 413)
    assert is_problem(client.post(URL, data=b"no gzip", headers=packed), 400)
    assert is_problem(client.post(URL, data=b"{}", headers={"Content-Encoding": "br"}), 415)
    assert len(stored(store)) == 1


def test_a_body_that_is_too_large_is_refused(client: FlaskClient) -> None:
    assert is_problem(client.post(URL, data=b" " * (MAX_BODY + 1)), 413)


def test_without_the_token_nothing_is_taken(store: MemoryStore, tmp_path: Path) -> None:
    client = client_of(store, tmp_path, token="t-oken")
    for headers in (
        {},
        {"Authorization": "Bearer t-oke"},
        {"Authorization": "Bearer"},
        {"Authorization": "\xff"},
    ):
        answer = client.post(URL, json=record(1), headers=headers)
        assert is_problem(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert client.post(URL, json=record(1), headers={"Authorization": "Bearer c-token"}).status_code == 401
    assert client.post(f"{URL}/nobody", json=record(1)).status_code == 401
    assert stored(store) == []
    assert client.post(URL, json=record(1), headers={"Authorization": "Bearer t-oken"}).status_code == 202


def test_a_source_has_its_own_token_and_mapping(store: MemoryStore, tmp_path: Path) -> None:
    client = client_of(store, tmp_path, token="t-oken")
    parcel = {"state": "DELIVERED", "at": 1772366400123, "waybill": "YT1"}
    mine = {"Authorization": "Bearer c-token"}
    basic = {"Authorization": "Basic " + base64.b64encode(b"any:c-token").decode()}
    assert client.post(f"{URL}/courier", json=parcel).status_code == 401
    assert client.post(f"{URL}/courier", json=parcel, headers=mine).json["new"] == 1  # type: ignore[index]
    assert client.post(f"{URL}?source=courier", json=parcel, headers=basic).json["known"] == 1  # type: ignore[index]
    (event,) = stored(store)
    assert (event.action, event.refs) == ("delivery.signed", {"tracking_no": "YT1"})


def test_an_unknown_source_is_said_to_be_unknown(client: FlaskClient) -> None:
    answer = client.post(f"{URL}/nobody", json=record(1))
    assert is_problem(answer, 404)
    assert "sources" in answer.json["detail"]  # type: ignore[index]


def test_nothing_is_confirmed_while_the_store_is_away(tmp_path: Path) -> None:
    class Away(MemoryStore):
        def append(self, events: object) -> object:  # type: ignore[override]
            raise StoreUnavailable("locked")

    answer = client_of(Away(), tmp_path).post(URL, json=record(1))
    assert is_problem(answer, 503)
    assert answer.headers["Retry-After"]
