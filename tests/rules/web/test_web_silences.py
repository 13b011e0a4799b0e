"""Silences through pages and the API: begun, seen where they matter, ended; by the rules of the command."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from ordertrace_rules.times import HOUR, MINUTE, parse_instant

PATH = "/incidents/paid_not_reserved-1"
THIS = 'incident="paid_not_reserved-1"'
NASTY = "<img src=x onerror=alert(1)>"


def send(client, path: str = "/silences", **fields: str):
    token = re.search(r'name="form_token" value="([^"]+)"', client.get("/silences").text).group(1)
    return client.post(path, data={"form_token": token, **fields})


def begin(client, **changes: str):
    usual = {"matchers": THIS, "duration": "2h", "reason": "stock count", "by": "Li Wei"}
    return send(client, **{**usual, **changes})


def listed(client, state: str = "") -> list[dict]:
    return client.get("/api/v1/silences", query_string={"state": state}).get_json()["silences"]


@pytest.mark.parametrize(("language", "said"), [("en", "Silence this"), ("zh", "静默此事件")])
def test_the_form_of_an_incident_means_that_incident_and_names_wider_matchers(client, language, said) -> None:
    page = client.get(f"{PATH}?lang={language}").text
    assert said in page
    assert "incident=&#34;paid_not_reserved-1&#34;</textarea>" in page
    assert "<code>playbook=&#34;paid_not_reserved&#34;</code>" in page


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "silenced by Li Wei: stock count"), ("zh", "由 Li Wei 静默，理由：stock count")],
)
def test_a_silence_that_is_begun_on_an_incident_stands_there_and_in_the_list(client, language, said) -> None:
    before = client.get(PATH).headers["ETag"]
    answer = begin(client, next=PATH)
    assert (answer.status_code, answer.headers["Location"]) == (303, PATH)
    assert client.get(PATH, headers={"If-None-Match": before}).status_code == 200
    assert said in client.get(f"{PATH}?lang={language}").text
    page = client.get(f"/silences?lang={language}").text
    assert "stock count" in page and "incident=&#34;paid_not_reserved-1&#34;" in page
    [silence] = client.get(f"/api/v1{PATH}").get_json()["silences"]
    assert (silence["state"], silence["author"], silence["matchers"]) == ("active", "Li Wei", [THIS])
    assert silence["ends_at"] == "2026-11-20T13:00:00Z"


@pytest.mark.parametrize(("language", "said"), [("en", "silenced</span>"), ("zh", "静默中</span>")])
def test_the_list_of_incidents_marks_what_is_silenced(client, language, said) -> None:
    assert said not in client.get(f"/?lang={language}").text
    begin(client)
    assert said in client.get(f"/?lang={language}").text
    assert said in client.get(f"/incidents?state=open&lang={language}").text


def test_a_silence_of_something_else_is_not_shown_on_the_incident(client) -> None:
    begin(client, matchers='playbook = "refund_missing"')
    begin(client, matchers='playbook = "paid_not_reserved"\nowner != "nobody"', starts_at="2026-11-20T12:00")
    assert "silenced by" not in client.get(PATH).text
    assert client.get(f"/api/v1{PATH}").get_json()["silences"] == []


def test_one_that_is_to_begin_holds_from_its_beginning_and_is_over_at_its_end(morning, client) -> None:
    begin(client, starts_at="2026-11-20T12:00", until="2026-11-20T14:30", duration="2h")
    assert [s["state"] for s in listed(client)] == ["pending"]
    assert "To begin" in client.get("/silences").text
    morning.clock.advance_to(parse_instant("2026-11-20T12:00:00Z"))
    assert [s["state"] for s in listed(client)] == ["active"]
    assert "silenced by" in client.get(PATH).text
    morning.clock.advance_to(parse_instant("2026-11-20T14:30:00Z"))
    assert listed(client, "active,pending") == []
    assert [s["ends_at"] for s in listed(client, "ended")] == ["2026-11-20T14:30:00Z"]
    assert "Over" in client.get("/silences").text


def test_the_minute_of_a_field_that_has_just_begun_is_now(morning, client) -> None:
    morning.clock.advance_to(morning.clock.now() + 30 * 10**9)
    assert begin(client, starts_at="2026-11-20T11:00").status_code == 303
    assert listed(client)[0]["starts_at"] == "2026-11-20T11:00:30Z"


def test_a_silence_is_ended_early_once(morning, client) -> None:
    begin(client)
    [silence] = listed(client)
    morning.clock.advance_to(morning.clock.now() + HOUR)
    for _ in range(2):
        answer = send(client, f"/silences/{silence['id']}/end")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/silences")
        morning.clock.advance_to(morning.clock.now() + MINUTE)
    assert [(s["state"], s["ends_at"]) for s in listed(client)] == [("ended", "2026-11-20T12:00:00Z")]
    assert "silenced by" not in client.get(PATH).text
    assert send(client, "/silences/none/end").status_code == 404


def test_one_that_is_to_begin_can_be_called_off(client) -> None:
    begin(client, starts_at="2026-11-20T12:00")
    path = f"/api/v1/silences/{listed(client)[0]['id']}/end"
    ended = client.post(path, json={}).get_json()
    assert (ended["state"], ended["starts_at"], ended["ends_at"]) == ("ended", *["2026-11-20T11:00:00Z"] * 2)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"matchers": ""}, "from 1 to 20 matchers"),
        ({"matchers": "a=1\n" * 21}, "from 1 to 20 matchers"),
        ({"matchers": "paid_not_reserved"}, "not a matcher"),
        ({"matchers": "playbook =~ ("}, "not a regular expression"),
        ({"matchers": 'severity != "info"'}, "nearly everything"),
        ({"by": " "}, "author: say it"),
        ({"reason": ""}, "reason: say it"),
        ({"duration": ""}, "how long it lasts"),
        ({"duration": "soon"}, "write it like 30m"),
        ({"duration": "9" * 400 + "h"}, "beyond all numbers"),
        ({"duration": "91d"}, "from a second to 90d"),
        ({"until": "2026-11-20T10:00"}, "from a second to 90d"),
        ({"until": "tomorrow"}, "ends_at: not an RFC 3339"),
        ({"starts_at": "2026-11-19T10:00"}, "begins now or within 90d"),
        ({"starts_at": "2027-11-19T10:00"}, "begins now or within 90d"),
        ({"form_token": "x"}, "out of date"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason_and_nothing_is_kept(client, changes, says) -> None:
    refused = begin(client, **changes)
    assert (refused.status_code, says in refused.text) == (400, True), refused.text
    assert listed(client) == []


def test_the_api_begins_lists_and_ends(client) -> None:
    asked = {"matchers": [THIS], "by": "Li", "reason": "count", "ends_at": "2026-11-21T08:00:00+08:00"}
    made = client.post("/api/v1/silences", json=asked)
    assert made.status_code == 201
    assert made.get_json()["ends_at"] == "2026-11-21T00:00:00Z"
    assert listed(client, "active") == [made.get_json()]
    path = f"/api/v1/silences/{made.get_json()['id']}/end"
    assert client.post(path).status_code == 400  # a form of another site cannot send JSON
    assert client.post(path, json={}).get_json()["state"] == "ended"
    assert client.post("/api/v1/silences/none/end", json={}).status_code == 404


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"matchers": THIS}, "matchers: a list"),
        ({"matchers": ["a=" + "x" * 1000]}, "up to 1000 characters"),
        ({"matchers": ["a =~ x{99999999999999999999}"]}, "not a regular expression"),
        ({"matchers": [1]}, "matchers: a list"),
        ({"matchers": None}, "matchers: a list"),
        ({"reason": 7}, "reason: a text"),
        ({"by": None}, "by: a text"),
        ({"duration": "2h", "ends_at": "2026-11-21T08:00:00Z"}, "either how long"),
        ({"duration": ""}, "either how long"),
    ],
)
def test_the_api_refuses_what_cannot_be(client, changes, says) -> None:
    asked = {"matchers": [THIS], "by": "Li", "reason": "count", "duration": "2h", **changes}
    refused = client.post("/api/v1/silences", json=asked)
    assert refused.status_code == 400
    assert says in refused.get_json()["detail"]
    assert client.get("/api/v1/silences?state=over").status_code == 400
    assert client.post("/api/v1/silences", data=asked and {"by": "Li"}).status_code == 400


def test_behind_a_token_nobody_else_sees_begins_or_ends_one(locked) -> None:
    client = locked.client()
    assert client.get("/silences").status_code == 302
    assert client.get("/api/v1/silences").status_code == 401
    body = {"matchers": [THIS], "by": "Li", "reason": "count", "duration": "2h"}
    assert client.post("/api/v1/silences", json=body).status_code == 401
    assert client.post("/silences", data=body).status_code == 302
    assert client.post("/api/v1/silences/x/end", json={}).status_code == 401
    assert locked.service.alerts.store.silences(0) == []
    foreign = {"Origin": "https://evil.example"}
    assert client.post("/silences", data=body, headers=foreign).status_code == 403


def test_nothing_of_a_silence_acts_on_a_page(client) -> None:
    begin(
        client,
        matchers=f'{THIS}\nplaybook =~ "{NASTY}|paid.*\u202e|paid_not_reserved"',
        reason=NASTY,
        by=NASTY,
    )
    for path in (PATH, "/silences"):
        page = client.get(path).text
        assert "<img" not in page
        assert "&lt;img src=x onerror" in page
        assert "\u202e" not in page


def test_a_form_leads_back_to_our_pages_only(client) -> None:
    assert begin(client, next="//evil.example/").headers["Location"] == "/"
    assert begin(client, next="https://evil.example/").headers["Location"] == "/"


def test_an_instant_of_a_page_is_utc(client) -> None:
    tomorrow = datetime(2026, 11, 20, 11, tzinfo=UTC) + timedelta(days=1)
    begin(client, until=tomorrow.strftime("%Y-%m-%dT%H:%M"))
    assert listed(client)[0]["ends_at"] == "2026-11-21T11:00:00Z"


def test_only_those_in_force_are_counted_in_the_metrics(client) -> None:
    begin(client)
    begin(client, starts_at="2026-11-20T12:00")
    assert "ordertrace_silences 1.0" in client.get("/metrics").text
