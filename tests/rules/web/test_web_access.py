"""Who may ask: bearer or session behind a token; without one this machine alone, and no other site's pages."""

import re
from typing import Any

import pytest

TOKEN = "a long token of the service"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ACKNOWLEDGE = "/api/v1/incidents/paid_not_reserved-1/acknowledge"


def form_token(client: Any, path: str) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', client.get(path).text)
    assert found is not None
    return found.group(1)


def sign_in(client: Any, token: str = TOKEN, target: str = "/") -> Any:
    data = {"token": token, "next": target, "form_token": form_token(client, "/sign-in")}
    return client.post("/sign-in", data=data)


def test_every_route_but_health_and_the_sign_in_asks_for_the_token(locked) -> None:
    client = locked.client()
    open_to_all = set()
    for rule in locked.app.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "x", rule.rule)
        for method in rule.methods - {"OPTIONS", "HEAD"}:
            status = client.open(path, method=method).status_code
            refused = status == 401 or (status == 302 and not path.startswith("/sign-in"))
            if not refused:
                open_to_all.add((method, rule.endpoint))
    assert open_to_all == {
        ("GET", "health.healthz"),
        ("GET", "health.readyz"),
        ("GET", "sign_in"),
        ("POST", "sign_in"),  # 400: it asks for its form's token
        ("GET", "static"),
    }


def test_an_unknown_address_tells_a_stranger_nothing(locked) -> None:
    assert locked.client().get("/api/v1/nothing").status_code == 401
    assert locked.client().get("/nothing").status_code == 302


def test_a_bearer_token_opens_the_api_and_a_wrong_one_does_not(locked) -> None:
    client = locked.client()
    assert client.get("/api/v1/incidents", headers=BEARER).status_code == 200
    assert client.get("/metrics", headers=BEARER).status_code == 200
    for wrong in ("Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer \u00e9", TOKEN):
        response = client.get("/api/v1/incidents", headers={"Authorization": wrong})
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_signing_in_opens_the_pages_and_leads_back(locked) -> None:
    client = locked.client()
    asked = client.get("/orders/SO-1?lang=zh")
    assert asked.headers["Location"] == "/sign-in?next=/orders/SO-1?lang%3Dzh"
    answer = sign_in(client, target="/orders/SO-1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/orders/SO-1")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert client.get("/orders/SO-1").status_code == 200
    assert client.get("/api/v1/incidents").status_code == 200


def test_a_wrong_token_does_not_sign_in(locked) -> None:
    client = locked.client()
    assert sign_in(client, "guess").status_code == 403
    assert client.get("/").status_code == 302


def test_signing_out_ends_the_session(locked) -> None:
    client = locked.client()
    sign_in(client)
    client.post("/sign-out", data={"form_token": form_token(client, "/incidents/paid_not_reserved-1")})
    assert client.get("/").status_code == 302


def test_a_session_cookie_that_was_made_up_is_nothing(locked) -> None:
    client = locked.client()
    client.set_cookie("ordertrace_session", "eyJzaWduZWRfaW4iOnRydWV9.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb")
    assert client.get("/").status_code == 302


def test_the_session_of_another_token_is_nothing(locked, scene) -> None:
    client, other = locked.client(), scene.client()
    other.get("/incidents/x")
    cookie = other.get_cookie("ordertrace_session")
    client.set_cookie("ordertrace_session", cookie.value if cookie else "")
    assert client.get("/").status_code == 302


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/\t/evil"],
)
def test_the_sign_in_never_leads_to_another_site(locked, target) -> None:
    assert sign_in(locked.client(), target=target).headers["Location"] == "/"


def test_a_form_without_its_sessions_token_changes_nothing(morning, client) -> None:
    response = client.post("/incidents/paid_not_reserved-1/acknowledge", data={"by": "Li"})
    assert response.status_code == 400
    assert morning.service.store.incident("paid_not_reserved-1").value.state == "open"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_cannot_change_anything(morning, client, headers) -> None:
    assert client.post(ACKNOWLEDGE, json={"by": "Li"}, headers=headers).status_code == 403
    assert client.post("/api/v1/events", json=[{}], headers=headers).status_code == 403
    assert morning.service.store.incident("paid_not_reserved-1").value.state == "open"


def test_our_own_pages_and_programs_may(client) -> None:
    own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert client.post(ACKNOWLEDGE, json={"by": "Li"}, headers=own).status_code == 200
    assert client.post(ACKNOWLEDGE, json={"by": "Li"}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8321", "127.0.0.1.evil.example", "[::ffff", ""]
)
def test_another_name_for_this_machine_is_refused(client, host) -> None:
    response = client.get("/api/v1/orders/SO-1", headers={"Host": host})
    assert response.status_code in (400, 421)
    assert "SO-1" not in response.text


@pytest.mark.parametrize("host", ["localhost", "localhost:8321", "127.0.0.1:8321", "[::1]:8321", "127.8.8.8"])
def test_the_loopback_is_answered(client, host) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


def test_the_host_of_public_url_is_answered(make_scene) -> None:
    client = make_scene(ORDERTRACE_PUBLIC_URL="https://orders.example").client()
    assert client.get("/", headers={"Host": "orders.example"}).status_code == 200


def test_the_cookie_is_secure_where_the_site_is(make_scene) -> None:
    client = make_scene(token=TOKEN, ORDERTRACE_PUBLIC_URL="https://orders.example").client()
    assert "Secure" in client.get("/sign-in").headers["Set-Cookie"]


@pytest.mark.parametrize("path", ["/", "/api/v1/incidents", "/nothing", "/static/ordertrace.css", "/healthz"])
def test_every_answer_carries_the_policy(client, path) -> None:
    headers = client.get(path).headers
    assert headers["Content-Security-Policy"].startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
