"""Deliveries on their page and through the API: what became of each, and one sent again."""

import re
from dataclasses import replace

import pytest

from ordertrace_alerting.vocabulary import Attempt, Delivery, TargetState

NASTY = "<img src=x onerror=alert(1)>"
GIVEN_UP = Delivery(
    key="k1",
    group="g",
    flush=1,
    target="on-call",
    part=0,
    signals=("paid_not_reserved-1:1",),
    title=f"Paid but stock not reserved {NASTY}",  # a page names the incident in its own language
    created_at=1_795_000_000_000_000_000,
    body="the message itself",
    state="dead",
    attempts=3,
    finished_at=1_795_000_060_000_000_000,
    detail=f"HTTP 403: {NASTY}",
)


@pytest.fixture
def told(morning, client):
    """One that was given up, and one that waits for a target which takes nothing."""
    store, now = morning.service.alerts.store, morning.clock.now()
    store.add_delivery(replace(GIVEN_UP, created_at=now))
    waits = replace(
        GIVEN_UP, key="k2", state="pending", signals=("report-1:1",), title="Yesterday", detail=""
    )
    store.add_delivery(replace(waits, created_at=now - 1, attempts=1, next_attempt_at=now, finished_at=None))
    store.log_attempt(Attempt("k1", 3, now, "permanent", 403, "", 12_000_000, "0" * 64, GIVEN_UP.detail))
    store.put_target(TargetState("on-call", failures=7, open_since=now, waits_until=now), None)
    return client


def send(client, key: str, **fields: str):
    token = re.search(r'name="form_token" value="([^"]+)"', client.get("/deliveries").text).group(1)
    return client.post(f"/deliveries/{key}/resend", data={"form_token": token, **fields})


@pytest.mark.parametrize(
    ("language", "said"), [("en", ("given up", "taken nothing since")), ("zh", ("已放弃", "未接收通知"))]
)
def test_the_page_says_what_became_of_each_and_which_target_takes_nothing(told, language, said) -> None:
    page = told.get(f"/deliveries?lang={language}").text
    for words in (*said, "HTTP 403", "on-call", 'href="/incidents/paid_not_reserved-1"', "Yesterday"):
        assert words in page
    assert "<img" not in page and "the message itself" not in page
    assert "incidents/report-1" not in page
    assert "Yesterday" not in told.get("/deliveries?state=dead").text


def test_one_that_was_given_up_is_sent_again(morning, told) -> None:
    before = told.get("/deliveries").headers["ETag"]
    answer = send(told, "k1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/deliveries")
    assert morning.service.alerts.delivery("k1").state == "pending"
    assert told.get("/deliveries", headers={"If-None-Match": before}).status_code == 200
    assert send(told, "none").status_code == 404
    assert send(told, "k2", form_token="x").status_code == 400


def test_the_api_lists_with_the_log_and_sends_again(told) -> None:
    found = told.get("/api/v1/deliveries?state=dead").get_json()["deliveries"]
    assert [(each["key"], each["log"][0]["http_status"]) for each in found] == [("k1", 403)]
    assert told.post("/api/v1/deliveries/k1/resend").status_code == 400
    assert told.post("/api/v1/deliveries/k1/resend", json={}).get_json()["state"] == "pending"
    assert told.post("/api/v1/deliveries/none/resend", json={}).status_code == 404
    assert told.get("/api/v1/deliveries?state=lost").status_code == 400


def test_behind_a_token_nobody_else_sees_or_sends_them(locked) -> None:
    client = locked.client()
    assert client.get("/deliveries").status_code == 302
    assert client.get("/api/v1/deliveries").status_code == 401
    assert client.post("/api/v1/deliveries/k1/resend", json={}).status_code == 401
    assert client.post("/deliveries/k1/resend", headers={"Origin": "https://evil.example"}).status_code == 403
