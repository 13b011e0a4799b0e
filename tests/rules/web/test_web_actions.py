"""Decisions on actions through forms and the API, and the review queue as page, CSV and JSON."""

import csv
import io
import re

import pytest

from ordertrace_rules.times import HOUR, MINUTE

PATH = "/incidents/paid_not_reserved-1"


def proposed(client, kind: str) -> str:
    actions = client.get(f"/api/v1{PATH}").get_json()["actions"]
    return next(action["id"] for action in actions if action["kind"] == kind)


def send(client, kind: str, **fields: str):
    token = re.search(r'name="form_token" value="([^"]+)"', client.get(PATH).text).group(1)
    data = {"form_token": token, "by": "Li <i>Wei</i>", **fields}
    return client.post(f"{PATH}/actions/{proposed(client, kind)}", data=data)


@pytest.mark.parametrize(("language", "said"), [("en", "Proposed actions"), ("zh", "建议的处置")])
def test_the_page_lists_what_is_proposed_and_what_nothing_can_execute(client, language, said) -> None:
    page = client.get(f"{PATH}?lang={language}").text
    assert said in page
    assert "actions.notify_customer" in page
    assert page.count('value="approve"') == 1


def test_an_approved_review_puts_the_open_orders_into_the_queue_until_they_go_on(morning, client) -> None:
    assert "No order waits for review." in client.get("/reviews").text
    answer = send(client, "manual_review", decision="approve")
    assert (answer.status_code, answer.headers["Location"]) == (303, PATH)
    assert "approved by Li &lt;i&gt;Wei&lt;/i&gt;" in client.get(PATH).text
    page = client.get("/reviews").text
    assert page.count('href="/orders/SO-') == 6
    assert "人工审核" in client.get("/reviews?lang=zh").text
    rows = list(csv.DictReader(io.StringIO(client.get("/reviews.csv").text.removeprefix("\ufeff"))))
    assert {row["order"] for row in rows} == {f"SO-{n}" for n in range(6)}
    assert client.get("/api/v1/reviews").get_json()["reviews"][0]["open"] == 6
    morning.says("inventory", "inventory.reserved", 3 * HOUR, order__id="SO-0")
    morning.pass_to(3 * HOUR + MINUTE)
    assert client.get("/reviews").text.count('href="/orders/SO-') == 5


def test_a_declined_action_says_so_and_may_still_be_approved(client) -> None:
    send(client, "manual_review", decision="decline")
    page = client.get(f"{PATH}?lang=en").text
    assert "declined by Li" in page
    assert 'value="decline"' not in page
    assert send(client, "manual_review", decision="approve").status_code == 303
    assert client.get("/api/v1/reviews").get_json()["reviews"]


def test_what_cannot_be_is_refused_with_the_reason(client) -> None:
    refused = send(client, "notify_customer", decision="approve")
    assert refused.status_code == 400
    assert "actions.notify_customer.url" in refused.text
    assert send(client, "manual_review", decision="maybe").status_code == 400
    assert send(client, "manual_review", decision="approve", by="").status_code == 400
    assert send(client, "manual_review", decision="approve", form_token="x").status_code == 400
    assert client.get(f"{PATH}/actions/{proposed(client, 'manual_review')}").status_code == 405
    assert client.get("/api/v1/reviews").get_json()["reviews"] == []


def test_the_api_decides_with_json_alone(client) -> None:
    path = f"/api/v1{PATH}/actions/{proposed(client, 'manual_review')}"
    assert client.post(path, data={"decision": "approve", "by": "Li"}).status_code == 400
    assert client.post(path, json={"decision": "maybe", "by": "Li"}).status_code == 400
    assert client.post(path, json={"decision": "approve"}).status_code == 400
    for _ in range(2):
        done = client.post(path, json={"decision": "approve", "by": "Li"}).get_json()["actions"]
        assert [(a["state"], a["by"]) for a in done if a["kind"] == "manual_review"] == [("done", "Li")]
    assert client.post(path, json={"decision": "decline", "by": "Li"}).status_code == 409
    assert client.post(f"{path}x", json={"decision": "approve", "by": "Li"}).status_code == 404
    other = f"/api/v1{PATH}/actions/{proposed(client, 'notify_customer')}"
    assert client.post(other, json={"decision": "approve", "by": "Li"}).status_code == 409


def test_behind_a_token_nobody_else_decides_or_reads_the_queue(locked) -> None:
    client = locked.client()
    for path in ("/reviews", "/reviews.csv", f"{PATH}/orders.csv"):
        assert client.get(path).status_code == 302
    body = {"decision": "approve", "by": "Li"}
    assert client.post(f"/api/v1{PATH}/actions/manual_review-00000000", json=body).status_code == 401
