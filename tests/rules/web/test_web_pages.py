"""The pages, as a browser without a script gets them."""

import html
import re
import threading
from dataclasses import replace
from urllib.parse import unquote

import pytest

from ordertrace_rules.times import HOUR, MINUTE, NS
from ordertrace_rules.web.app import create_app


def test_open_incidents_say_verdict_count_amount_since_cause_and_age(client) -> None:
    page = client.get("/").text
    for said in (
        "inventory synchronisation anomaly",
        "597.00 CNY",
        "08:10:05",
        "2h 49m",
        "<strong>inventory</strong>",
    ):
        assert said in page


def test_no_open_incident_is_said_in_words(scene) -> None:
    assert "No incident is open." in scene.client().get("/").text


def test_closed_incidents_leave_the_first_page_and_keep_theirs(morning, client) -> None:
    for number in range(6):
        morning.says("inventory", "inventory.reserved", 3 * HOUR, order__id=f"SO-{number}")
    morning.pass_to(3 * HOUR + MINUTE)
    assert "paid_not_reserved-1" not in client.get("/").text
    assert "resolved" in client.get("/incidents/paid_not_reserved-1").text


def test_the_guide_names_cause_steps_and_links_its_orders(client) -> None:
    page = client.get("/incidents/paid_not_reserved-1").text
    assert "Rate limit" in page
    assert "Checked and cleared" in page
    assert 'href="/orders/SO-3"' in page
    assert "lock wait timeout exceeded" in page


def test_a_person_takes_an_incident_on_with_a_form(client) -> None:
    path = "/incidents/paid_not_reserved-1"
    token = re.search(r'name="form_token" value="([^"]+)"', client.get(path).text).group(1)
    answer = client.post(f"{path}/acknowledge", data={"by": "Li <b>Wei</b>", "form_token": token})
    assert (answer.status_code, answer.headers["Location"]) == (303, path)
    page = client.get(path).text
    assert "Li &lt;b&gt;Wei&lt;/b&gt;" in page
    assert "I take this on" not in page
    assert "is on it" in client.get("/orders/SO-1").text


def test_the_first_line_of_an_order_answers_where_since_when_why_how_many_and_who(client) -> None:
    page = client.get("/orders/SO-1").text
    sentence = re.search(r'<p class="lead">(.*?)</p>', page, re.S).group(1)
    for said in (
        "waiting for outbound",
        "08:11:05",
        "over its target",
        "inventory",
        "5 other orders",
        "to act",
    ):
        assert said in sentence


@pytest.mark.parametrize(
    ("action", "said"), [("order.cancelled", "was cancelled"), ("delivery.signed", "has come to its end")]
)
def test_an_order_that_has_ended_says_so(scene, action, said) -> None:
    scene.delivered("END-1", 0)
    scene.says("storefront", action, HOUR, order__id="END-1")
    scene.clock.advance_to(scene.clock.now() + 9 * HOUR)
    assert said in scene.client().get("/orders/END-1").text


def test_an_overdue_stage_is_named_in_words_and_has_a_pattern(client) -> None:
    page = client.get("/orders/SO-1").text
    assert re.search(r'class="status overdue"[^>]*>failed, ⚠ \d+m \d+s overdue', page)
    assert re.search(r'class="bar overdue"[^>]*fill="url\(#overdue-1\)"', page)
    assert 'class="bar overdue" x=' not in client.get("/orders/OK-1").text


def test_missing_logs_are_drawn_and_named_as_unknown(scene) -> None:
    scene.paid("GAP-1", 0)
    scene.says("inventory", "heartbeat", 10 * MINUTE, **{"service.instance.id": "i1"})
    scene.pass_to(HOUR)
    page = scene.client().get("/orders/GAP-1").text
    assert "no logs of inventory since 08:10:00" in page
    assert re.search(r'class="bar unknown"[^>]*fill="url\(#unknown-1\)"', page)


@pytest.mark.parametrize(
    ("silence", "said"),
    [
        (9 * MINUTE, "logs of inventory may still be on their way, from 08:10:00"),
        (10 * MINUTE, "no logs of inventory since 08:10:00"),
    ],
)
def test_between_two_heartbeats_logs_are_on_their_way_and_not_missing(scene, silence, said) -> None:
    scene.paid("BEAT-1", 0)
    scene.says("inventory", "heartbeat", 10 * MINUTE, **{"service.instance.id": "i1"})
    scene.pass_to(10 * MINUTE + silence + NS)
    page = scene.client().get("/orders/BEAT-1").text
    assert said in page
    assert ("may still be on their way" in page) != ("no logs of inventory since" in page)


def test_log_lines_stand_in_the_order_of_their_time_the_newest_last(client) -> None:
    page = client.get("/orders/SO-1").text
    places = [
        page.index(f'"action">{action}')
        for action in ("order.placed", "payment.captured", "inventory.reserve_f")
    ]
    assert places == sorted(places)


@pytest.mark.parametrize("q", ["P-SO-2", "SO-2", " SO-2\t"])
def test_a_search_that_finds_one_order_leads_straight_to_it(client, q) -> None:
    answer = client.get("/search", query_string={"q": q})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/orders/SO-2")


def test_an_exact_id_wins_over_longer_ones(morning, client) -> None:
    morning.paid("SO-11", HOUR)
    assert client.get("/search?q=SO-1").headers["Location"] == "/orders/SO-1"


def test_a_whole_payment_id_wins_over_longer_ones(morning, client) -> None:
    for order in ("SO-1", "SO-11"):
        morning.paid(order, HOUR)
    morning.service.tick()
    assert client.get("/search?q=P-SO-1").headers["Location"] == "/orders/SO-1"


def test_one_id_of_two_kinds_gives_a_choice(scene) -> None:
    scene.paid("1001", 0)
    scene.says("payment", "payment.captured", 0, **{"order.id": "B-1", "order.refs.payment_id": "1001"})
    scene.pass_to(MINUTE)
    page = scene.client().get("/search?q=1001").text
    assert "found by its order id" in page and "found by its payment_id" in page


def test_an_order_that_no_tick_has_seen_is_found(scene) -> None:
    scene.paid("NEW-1", 0)
    assert scene.client().get("/search?q=NEW-1").headers["Location"] == "/orders/NEW-1"


def test_several_orders_give_a_choice_with_the_reason(scene) -> None:
    for order in ("A-1", "B-1"):
        scene.says("payment", "payment.captured", 0, **{"order.id": order, "order.refs.payment_id": "MERGED"})
    scene.pass_to(MINUTE)
    page = scene.client().get("/search?q=MERGED").text
    assert 'href="/orders/A-1"' in page and 'href="/orders/B-1"' in page
    assert "found by its payment_id" in page


def test_a_search_that_finds_nothing_says_what_to_try(client) -> None:
    answer = client.get("/search?q=nobody")
    assert answer.status_code == 404
    assert "payment id" in answer.text


def test_an_unknown_order_or_incident_is_a_page_that_says_so(client) -> None:
    for path in ("/orders/nobody", "/incidents/none-1", "/orders/"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.mimetype == "text/html"


@pytest.mark.parametrize("path", ["/", "/incidents/paid_not_reserved-1", "/orders/SO-1"])
def test_a_page_that_did_not_change_is_a_304_and_one_that_did_is_not(morning, client, path) -> None:
    etag = client.get(path).headers["ETag"]
    again = client.get(path, headers={"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
    morning.says("inventory", "inventory.reserved", 3 * HOUR, order__id="SO-1")
    morning.service.tick()
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 200


def test_ages_are_renewed_each_minute_though_nothing_happened(morning, client) -> None:
    etag = client.get("/").headers["ETag"]
    morning.clock.advance_to(morning.clock.now() + MINUTE)
    assert client.get("/", headers={"If-None-Match": etag}).status_code == 200


def test_the_language_is_asked_of_query_cookie_and_browser_in_this_order(client) -> None:
    assert "Open incidents" in client.get("/").text
    assert "未解决事件" in client.get("/", headers={"Accept-Language": "zh-CN,zh;q=0.9"}).text
    assert "未解决事件" in client.get("/?lang=zh").text
    assert "未解决事件" in client.get("/").text  # remembered
    assert "Open incidents" in client.get("/?lang=en", headers={"Accept-Language": "zh"}).text


def test_chinese_pages_hold_the_chinese_guide(client) -> None:
    page = client.get("/incidents/paid_not_reserved-1?lang=zh").text
    assert "限流" in page and '<html lang="zh-CN">' in page
    assert "等待出库" in client.get("/orders/SO-1?lang=zh").text


def test_missing_logs_are_an_incident_with_a_page_of_its_own(scene) -> None:
    scene.says("inventory", "heartbeat", 0, **{"service.instance.id": "i1"})
    scene.pass_to(HOUR)
    client = scene.client()
    [incident] = client.get("/api/v1/incidents").get_json()["incidents"]
    assert incident["playbook"] == "logs_missing"
    for language in ("en", "zh"):
        page = client.get(f"/incidents/{incident['id']}?lang={language}")
        assert page.status_code == 200
        assert '<span class="id"><bdi>inventory</bdi></span>' in page.text


def test_an_incident_whose_playbook_is_gone_still_has_a_page(morning) -> None:
    catalogue = replace(morning.service.catalogue, playbooks=())
    client = create_app(replace(morning.service, catalogue=catalogue)).test_client()
    assert client.get("/").status_code == 200
    assert "no longer loaded" in client.get("/incidents/paid_not_reserved-1").text
    assert client.get("/orders/SO-1").status_code == 200
    assert client.get("/api/v1/incidents").get_json()["incidents"][0]["verdict"] is None
    assert client.get("/api/v1/incidents/paid_not_reserved-1/guide").status_code == 404


def test_an_id_with_too_many_events_is_set_aside_in_words(scene, monkeypatch) -> None:
    monkeypatch.setattr("ordertrace_rules.subjects.MAX_EVENTS", 3)
    for number in range(5):
        scene.says("storefront", "order.placed", number * NS, order__id="test")
    page = scene.client().get("/orders/test").text
    assert "too many events" in page


def test_the_factory_starts_no_thread_and_reads_no_store(scene, monkeypatch) -> None:
    class Untouched:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"the factory used the store: {name}")

    before = threading.active_count()
    create_app(replace(scene.service, store=Untouched(), views=Untouched()))
    assert threading.active_count() == before


@pytest.mark.parametrize(("scale", "said"), [("1", False), ("240", True)])
def test_a_page_says_once_that_durations_are_divided_by_the_time_scale(make_scene, scale, said) -> None:
    client = make_scene(ORDERTRACE_TIME_SCALE=scale).client()
    for language, sentence in (("en", "divided by 240"), ("zh", "除以 240")):
        assert client.get("/", query_string={"lang": language}).text.count(sentence) == said


def test_incidents_of_every_state_are_listed_and_paged_by_key(morning, client, monkeypatch) -> None:
    for number in range(6):
        morning.says("inventory", "inventory.reserved", 3 * HOUR, order__id=f"SO-{number}")
    morning.pass_to(3 * HOUR + MINUTE)
    morning.says("wms", "heartbeat", 3 * HOUR + MINUTE, **{"service.instance.id": "w1"})
    morning.pass_to(4 * HOUR)
    monkeypatch.setattr("ordertrace_rules.web.pages.PAGE", 1)
    assert 'href="/incidents?state=all"' in client.get("/").text
    listed, path = list[str](), "/incidents?state=all"
    while path and len(listed) < 20:
        page = client.get(path).text
        listed += re.findall(r'<h2><a href="/incidents/([^"]+)">', page)
        older = re.search(r'href="([^"]+)">Older ones', page)
        path = "/incidents" + html.unescape(older.group(1)) if older else ""
    known = [i["id"] for i in client.get("/api/v1/incidents").get_json()["incidents"]]
    assert listed == known and len(known) > 1
    for state in ("open", "resolved"):
        page = client.get(f"/incidents?state={state}").text
        [latest, *_] = client.get(f"/api/v1/incidents?state={state}").get_json()["incidents"]
        assert re.findall(r'<h2><a href="/incidents/([^"]+)">', page) == [latest["id"]]
    assert "There is no incident in this state." in client.get("/incidents?state=withdrawn").text
    assert client.get("/incidents?state=odd").status_code == 400


def test_links_to_an_incident_name_its_title_and_its_verdict(morning, client) -> None:
    playbook = morning.service.catalogue.playbook("paid_not_reserved")
    name = f"{playbook.title['en']}: {playbook.verdict['en']}"
    assert f">{name}</a>" in client.get("/").text
    assert f">Guide: {name}</a>" in client.get("/orders/SO-1").text


def test_an_orders_ids_stand_apart_from_its_details_and_its_amount_is_there_once(scene) -> None:
    scene.paid("BOX-1", 0, **{"labels.amount": "99.5", "labels.promotion": "11.11"})
    for language, ids, details, payment in (
        ("en", "Ids", "Details", "Payment id"),
        ("zh", "相关编号", "详情", "支付单号"),
    ):
        page = scene.client().get(f"/orders/BOX-1?lang={language}").text
        boxes = dict(re.findall(r"<h2>([^<]*)</h2>\s*<dl class=\"pairs\">(.*?)</dl>", page, re.S))
        assert "P-BOX-1" in boxes[ids] and payment in boxes[ids]
        assert not {"99.5", "11.11"} & set(re.findall(r"[\d.]+", boxes[ids]))
        assert "11.11" in boxes[details] and boxes[details].count("99.5") == 1


def test_raw_lines_and_last_words_are_folded_so_that_the_cause_is_near(client) -> None:
    page = client.get("/incidents/paid_not_reserved-1").text
    evidence = re.search(r'<section class="section-evidence">(.*?)</section>', page, re.S).group(1)
    counted, _, behind = evidence.partition("<details")
    assert counted.count("<li>") >= 2
    assert "<code>" not in counted and "The last word of" not in counted
    assert "lock wait timeout exceeded" in behind


def test_an_order_and_an_incident_lead_into_kibana(make_scene) -> None:
    client = make_scene(ORDERTRACE_KIBANA_URL="https://k.example/s/ops/").morning().client()
    link = re.compile(
        r'<a href="(https://k\.example/s/ops/app/discover#/\?_g=[\w.~%-]+&amp;_a=[\w.~%-]+)">(.*?)</a>'
    )
    [(order, said)] = link.findall(client.get("/orders/SO-1").text)
    assert said == "Search in Kibana"
    query = unquote(order)
    for part in ('order.id : "SO-1"', 'order.refs.payment_id : "P-SO-1"', "2026-11-20T07:11:00Z", "'now'"):
        assert part in query
    [(cohort, said)] = link.findall(client.get("/incidents/paid_not_reserved-1").text)
    assert said == "Search their log lines in Kibana"
    assert all(f'"SO-{n}"' in unquote(cohort) and f'"P-SO-{n}"' in unquote(cohort) for n in range(6))


def test_an_order_that_has_ended_is_searched_to_its_last_line(make_scene) -> None:
    scene = make_scene(ORDERTRACE_KIBANA_URL="https://k.example")
    scene.delivered("END-1", 0)
    scene.says("storefront", "order.cancelled", HOUR, order__id="END-1")
    page = unquote(scene.client().get("/orders/END-1").text)
    assert "2026-11-20T10:00:00Z" in page
    assert "'now'" not in page


def test_without_an_address_of_kibana_no_page_speaks_of_it(client) -> None:
    for path in ("/orders/SO-1", "/incidents/paid_not_reserved-1"):
        assert "Kibana" not in client.get(path).text
