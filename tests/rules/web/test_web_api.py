"""The API: what it answers, and what it says of a request that it cannot answer."""

import pytest
from flask.testing import FlaskClient

from ordertrace_rules.errors import StoreUnavailable
from ordertrace_rules.times import HOUR, MINUTE


def get(client: FlaskClient, path: str, status: int = 200) -> dict:
    response = client.get(path)
    assert response.status_code == status, response.text
    return response.get_json(force=True)


def test_an_incident_is_listed_with_its_counts_amount_cause_and_cleared_suspects(client) -> None:
    [incident] = get(client, "/api/v1/incidents")["incidents"]
    assert incident["id"] == "paid_not_reserved-1"
    assert incident["verdict"]["en"] == "inventory synchronisation anomaly"
    assert incident["counts"] == {"open": 6, "resolved": 0, "withdrawn": 0}
    assert incident["amounts"] == {"CNY": 597.0}
    assert incident["cause"]["service"] == "inventory"
    assert "wms" in incident["cleared"]
    assert incident["since"] == "2026-11-20T08:10:05Z"


def test_incidents_are_filtered_by_state_and_paged_by_key(morning, client) -> None:
    for number in range(20):
        morning.says("inventory", "inventory.reserved", 3 * HOUR, order__id=f"SO-{number}")
    morning.alive(8 * HOUR)
    morning.pass_to(4 * HOUR)
    morning.refused("LATE-1", 4 * HOUR)
    morning.alive(8 * HOUR)
    morning.pass_to(8 * HOUR)
    every = [i["id"] for i in get(client, "/api/v1/incidents")["incidents"]]
    assert len(every) >= 2
    resolved = get(client, "/api/v1/incidents?state=resolved")["incidents"]
    assert [i["id"] for i in resolved] == ["paid_not_reserved-1"]
    both = get(client, "/api/v1/incidents?state=resolved&state=open,acknowledged")["incidents"]
    assert [i["id"] for i in both] == every
    paged, after = [], ""
    while after is not None:
        page = get(client, f"/api/v1/incidents?limit=1&after={after}")
        paged += [i["id"] for i in page["incidents"]]
        after = page["next"]
    assert paged == every


def test_members_are_paged_by_key_and_none_is_lost_or_doubled(client) -> None:
    seen, after = [], ""
    while after is not None:
        page = client.get(
            "/api/v1/incidents/paid_not_reserved-1/members", query_string={"limit": 4, "after": after}
        ).get_json()
        seen += [m["subject"] for m in page["members"]]
        after = page["next"]
    assert seen == [f"SO-{n}" for n in range(6)]


@pytest.mark.parametrize(
    ("form", "kind", "said"),
    [
        ("json", "application/json", '"sections"'),
        ("markdown", "text/markdown", "inventory"),
        ("text", "text/plain", "What to do now"),
    ],
)
def test_the_guide_is_given_in_three_forms(client, form, kind, said) -> None:
    response = client.get(f"/api/v1/incidents/paid_not_reserved-1/guide?format={form}")
    assert response.status_code == 200
    assert response.mimetype == kind
    assert said in response.text


def test_the_guide_speaks_chinese_when_asked(client) -> None:
    path = "/api/v1/incidents/paid_not_reserved-1/guide?format=text&language=zh"
    assert "限流" in client.get(path).text


def test_acknowledging_is_noted_once_and_told_to_alerting(morning, client) -> None:
    path = "/api/v1/incidents/paid_not_reserved-1/acknowledge"
    first = client.post(path, json={"by": "Li Wei"})
    assert first.status_code == 200
    assert first.json["state"] == "acknowledged"
    assert client.post(path, json={"by": "Somebody else"}).json["acknowledged_by"] == "Li Wei"
    kinds = [t.kind for t in morning.service.store.incident("paid_not_reserved-1").value.transitions]
    assert kinds == ["acknowledged"]


def test_what_is_over_cannot_be_acknowledged(morning, client) -> None:
    for number in range(6):
        morning.says("inventory", "inventory.reserved", 3 * HOUR, order__id=f"SO-{number}")
    morning.pass_to(3 * HOUR + MINUTE)
    response = client.post("/api/v1/incidents/paid_not_reserved-1/acknowledge", json={"by": "Li"})
    assert response.status_code == 409
    assert "resolved" in response.get_json(force=True)["detail"]


@pytest.mark.parametrize("text", ["SO-1", "P-SO-1", "  SO-1 ", "\u202aSO-1\u202c", "ＳＯ-1"])
def test_an_order_is_found_by_any_of_its_ids_as_pasted(client, text) -> None:
    hits = client.get("/api/v1/orders", query_string={"q": text}).get_json()["orders"]
    assert hits[0]["order_id"] == "SO-1"


def test_an_order_tells_its_stages_refs_and_events(client) -> None:
    order = get(client, "/api/v1/orders/SO-1")
    stages = {s["id"]: s for s in order["stages"]}
    assert stages["payment"]["state"] == "done"
    assert stages["payment"]["ended_at"] == "2026-11-20T08:11:05Z"
    assert (stages["reservation"]["state"], stages["reservation"]["overdue"]) == ("failed", True)
    assert stages["picking"]["state"] == "waiting"
    assert order["refs"] == {"payment_id": ["P-SO-1"]}
    assert [e["event.action"] for e in order["events"]] == [
        "order.placed",
        "payment.captured",
        "inventory.reserve_failed",
    ]
    assert [i["id"] for i in order["incidents"]] == ["paid_not_reserved-1"]


def test_an_order_is_told_before_any_tick_has_seen_it(scene) -> None:
    scene.paid("NEW-1", 0)
    order = get(scene.client(), "/api/v1/orders/NEW-1")
    assert order["current_stage"] == "reservation"


def test_an_order_is_told_with_its_return(scene) -> None:
    scene.delivered("R-1", 0)
    scene.says("returns", "return.requested", HOUR, **{"order.id": "R-1", "order.refs.rma_id": "RMA-9"})
    [related] = get(scene.client(), "/api/v1/orders/R-1")["related"]
    assert (related["process"], related["subject"]) == ("order_return", "RMA-9")


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/api/v1/incidents?limit=0", 400, "limit"),
        ("/api/v1/incidents?limit=９", 400, "limit"),
        ("/api/v1/incidents?state=closed", 400, "open, acknowledged"),
        ("/api/v1/incidents?after=x", 400, "after"),
        ("/api/v1/incidents/none-1", 404, "none-1"),
        ("/api/v1/incidents/none-1/members", 404, "none-1"),
        ("/api/v1/incidents/paid_not_reserved-1/guide?format=pdf", 400, "json, markdown, text"),
        ("/api/v1/incidents/paid_not_reserved-1/guide?language=fr", 400, "en, zh"),
        ("/api/v1/orders", 400, "payment"),
        ("/api/v1/orders/none", 404, "orders?q="),
        ("/api/v1/kept-aside?limit=501", 400, "500"),
        ("/api/v1/nothing", 404, ""),
    ],
)
def test_a_request_that_cannot_be_answered_gets_a_problem_that_says_why(client, path, status, said) -> None:
    response = client.get(path)
    assert response.status_code == status
    assert response.mimetype == "application/problem+json"
    problem = response.get_json(force=True)
    assert problem["status"] == status
    assert said in problem["detail"]


@pytest.mark.parametrize("by", ["", "  ", None, 7, "x" * 101, "two\nlines", "\u202eLi"])
def test_nobody_acknowledges_without_a_name_of_one_line(client, by) -> None:
    response = client.post("/api/v1/incidents/paid_not_reserved-1/acknowledge", json={"by": by})
    assert response.status_code == 400


def test_a_form_cannot_pass_for_a_json_request(client) -> None:
    path = "/api/v1/incidents/paid_not_reserved-1/acknowledge"
    assert client.post(path, data='{"by": "x"}', content_type="text/plain").status_code == 400


def test_a_store_that_does_not_answer_is_a_503_and_not_ready(morning, client, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(morning.service.store, "incident", fail)
    monkeypatch.setattr(morning.service.store, "checkpoint", fail)
    response = client.get("/api/v1/incidents/paid_not_reserved-1")
    assert response.status_code == 503
    assert response.mimetype == "application/problem+json"
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_a_wrong_method_is_a_problem_that_names_the_right_ones(client) -> None:
    response = client.delete("/api/v1/incidents")
    assert (response.status_code, response.mimetype) == (405, "application/problem+json")
    assert "GET" in response.headers["Allow"]


def test_records_that_were_kept_aside_are_shown_with_the_reason(morning, client) -> None:
    client.post("/api/v1/events", data="not json\n", content_type="application/x-ndjson")
    document = get(client, "/api/v1/kept-aside")
    assert sum(document["by_reason"].values()) == 1
    assert document["records"][0]["raw"] == "not json"


def test_events_that_are_posted_are_in_the_order_at_once(client) -> None:
    event = {"@timestamp": "2026-11-20T09:00:00Z", "order.id": "HTTP-1", "event.action": "order.placed"}
    assert client.post("/api/v1/events", json=[event]).status_code == 202
    assert get(client, "/api/v1/orders/HTTP-1")["current_stage"] == "payment"
