"""Nothing from an order's data can act: it is shown as text, with what is invisible made visible."""

import html
import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_rules.event import Event
from ordertrace_rules.rendering.visible import visible
from ordertrace_rules.web.pages import safe_href
from ordertrace_rules.web.routes import order_path

NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "[x](javascript:alert(1))",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "a/b//c/../d",
    "../../etc/passwd",
    "50%25%2F%00",
    "a?b=c#d&e=f;g",
    "SO 1 + 2",
    "订单–１",
    "x" * 2000,
    ".",
    "..",
    "/",
    "//evil.example/x",
    "\\\\evil",
    "]]>--><!--",
    "\U0001f4e6",
]


class Tags(HTMLParser):
    """Everything on a page that could act."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]


def assert_harmless(page: str) -> None:
    found = Tags()
    found.feed(page)
    assert found.tags.isdisjoint({"img", "iframe", "object", "embed", "b", "style"})
    assert not [name for name in found.attributes if name.startswith("on") or name == "style"]
    assert page.count("<script") == 1
    for link in found.links:
        parts = urlsplit(link)
        assert parts.scheme in ("", "http") and parts.netloc in ("", "localhost"), link
    assert not [c for c in page if not c.isprintable() and c != "\n"]


@pytest.mark.parametrize("nasty", NASTY)
def test_an_order_of_any_id_is_found_shown_and_linked_as_text(scene, nasty) -> None:
    scene.refused(nasty, 0)
    scene.alive(181 * 60 * 10**9)
    scene.pass_to(180 * 60 * 10**9)
    client = scene.client()
    [member] = client.get("/api/v1/incidents/paid_not_reserved-1").get_json()["members"]
    order_id = member["order_ids"][0]
    page = client.get("/incidents/paid_not_reserved-1").text
    assert_harmless(page)
    link = re.search(r'<a class="id" href="([^"]+)"', page).group(1)
    assert html.unescape(link) == order_path(order_id)
    order = client.get(html.unescape(link))
    assert order.status_code == 200
    assert_harmless(order.text)
    assert str(html.escape(order_id)).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in order.text
    assert client.get("/search", query_string={"q": order_id}).headers["Location"] == order_path(order_id)


@pytest.mark.parametrize("nasty", [*NASTY, "a\nb\x1b[31m\x00", "safe\u202egnp.exe", "zero\u200bwidth\ufeff"])
def test_labels_refs_and_messages_are_shown_as_text(scene, nasty) -> None:
    record = {
        "message": nasty,
        "labels.promotion": nasty,
        "order.refs.payment_id": nasty,
        "event.reason": nasty,
        "log.level": nasty,
        "event.outcome": "failure",
        "order.currency": nasty,
        "order.amount": 1,
    }
    # Straight into the store: a page must not depend on what an intake took away.
    document = {
        "@timestamp": "2026-11-20T08:00:00Z",
        "event.id": "n",
        "order.id": "N-1",
        "service.name": nasty,
    }
    scene.service.store.append([Event.from_document({**document, **record}, received=1)])
    for language in ("en", "zh"):
        page = scene.client().get(f"/orders/N-1?lang={language}")
        assert page.status_code == 200
        assert_harmless(page.text)


@pytest.mark.parametrize("nasty", [*NASTY, "a\nb\x1b[31m", "\u202e"])
def test_what_is_searched_for_is_shown_as_text(client, nasty) -> None:
    page = client.get("/search", query_string={"q": nasty})
    assert page.status_code in (404, 400)
    assert_harmless(page.text)


def test_a_message_of_several_lines_is_one_message_with_marked_breaks(scene) -> None:
    scene.says("payment", "payment.captured", 0, order__id="N-1", message="first\n2026-01-01 fake\tline")
    page = scene.client().get("/orders/N-1").text
    assert "<bdi>first</bdi>↵<br><bdi>2026-01-01 fake line</bdi>" in page


@pytest.mark.parametrize(
    ("raw", "shown"),
    [("a\x1b[31m", "a‹U+001B›[31m"), ("a\u202eb", "a‹U+202E›b"), ("a\nb", "a↵b"), ("\ud800", "‹U+D800›")],
)
def test_what_cannot_be_seen_is_shown_as_a_sign(raw, shown) -> None:
    assert visible(raw) == shown


def test_an_error_shows_what_was_asked_as_text(client) -> None:
    page = client.get("/incidents/%3Cimg%20src=x%20onerror=alert(1)%3E")
    assert page.status_code == 404
    assert_harmless(page.text)


@pytest.mark.parametrize(
    "href",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " javascript:x",
        "data:text/html,x",
        "//evil",
        "vbscript:x",
    ],
)
def test_a_link_of_a_guide_leads_nowhere_but_to_pages(href) -> None:
    assert safe_href(href) == ""


def test_a_link_to_a_page_stays() -> None:
    assert safe_href("https://a.example/x") == "https://a.example/x"
    assert safe_href("/orders/1") == "/orders/1"


@given(st.text())
def test_nothing_invisible_is_left_in_what_is_shown(text: str) -> None:
    shown = visible(text)
    assert isinstance(shown, str)
    assert shown.isprintable()
    shown.encode()


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50))
@settings(deadline=None)
def test_the_path_of_any_id_leads_back_to_it(text: str) -> None:
    from flask import Flask

    from ordertrace_rules.web.routes import OrderId

    app = Flask(__name__)
    app.url_map.merge_slashes = False
    app.url_map.converters["order_id"] = OrderId
    app.add_url_rule("/orders/<order_id:order_id>", view_func=lambda order_id: {"id": order_id}, endpoint="x")
    if text in (".", ".."):
        assert order_path(text) == f"/orders/?id={text}"
    else:
        assert app.test_client().get(order_path(text)).get_json() == {"id": text}
