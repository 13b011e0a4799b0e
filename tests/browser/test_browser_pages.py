"""The pages in a real browser: nothing blocked, nothing cut off, nothing told by colour alone."""

import re
from itertools import pairwise
from typing import Any

import pytest

pytestmark = pytest.mark.browser

PATHS = [
    "/",
    "/incidents/paid_not_reserved-1",
    "/orders/SO-1",
    "/orders/OK-1",
    "/incidents/paid_not_reserved-1/orders",
    "/playbooks",
    "/reviews",
    "/silences",
    "/deliveries",
    "/incidents?state=all",
    "/search?q=SO",
    "/sign-in",
]
NO_OVERFLOW = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_fits_a_phone_without_scrolling_sideways(site, open_page, path, language) -> None:
    joint = "&" if "?" in path else "?"
    page = open_page(f"{site.url}{path}{joint}lang={language}", width=375)
    assert page.evaluate(NO_OVERFLOW)
    for details in page.locator("details").all():
        details.locator("summary").click()
    assert page.evaluate(NO_OVERFLOW)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_two_texts_of_the_stages_overlap_on_a_phone(site, open_page, language) -> None:
    page = open_page(f"{site.url}/orders/SO-1?lang={language}", width=375)
    overlaps = page.evaluate(
        """() => {
          const texts = [...document.querySelectorAll('svg.gantt text')].filter(t => t.textContent.trim());
          const boxes = texts.map(t => t.getBoundingClientRect());
          const clash = (a, b) => a.left < b.right && b.left < a.right && a.top + 4 < b.bottom && b.top + 4 < a.bottom;
          return texts.flatMap((t, i) => texts.slice(i + 1).filter((_, j) => clash(boxes[i], boxes[i + 1 + j]))
            .map(u => t.textContent + ' / ' + u.textContent));
        }"""
    )
    assert overlaps == []


def test_a_very_long_id_fits_a_phone(site, open_page) -> None:
    site.scene.refused("W" * 200, 0, **{"labels.promotion": "x" * 900, "message": "y" * 4000})
    page = open_page(f"{site.url}/orders/{'W' * 200}", width=375)
    assert page.evaluate(NO_OVERFLOW)


def test_the_search_leads_from_a_payments_id_to_its_order(site, open_page) -> None:
    page = open_page(site.url)
    page.get_by_role("searchbox").fill("P-SO-3")
    page.get_by_role("searchbox").press("Enter")
    page.wait_for_url("**/orders/SO-3")
    assert "waiting for outbound" in page.locator(".lead").inner_text()


def test_a_guide_leads_to_its_orders_and_an_order_back_to_its_guide(site, open_page) -> None:
    page = open_page(site.url)
    page.get_by_role("link", name="inventory synchronisation anomaly").click()
    page.get_by_role("link", name="SO-2").click()
    page.wait_for_url("**/orders/SO-2")
    page.get_by_role("link", name=re.compile("Guide")).click()
    page.wait_for_url("**/incidents/paid_not_reserved-1")


def test_an_overdue_stage_is_known_without_colour(site, open_page) -> None:
    """In words beside the bar, in a pattern on it, and in the table."""
    page = open_page(f"{site.url}/orders/SO-1", forced_colors="none")
    [row] = page.locator("svg.gantt g.is-overdue").all()
    assert "overdue" in row.locator("text.status").text_content()
    assert row.locator("rect.overdue").get_attribute("fill").startswith("url(#")
    assert row.locator("rect.overdue").evaluate("e => getComputedStyle(e).fill").startswith("url(")
    page.locator("details.as-table summary").click()
    assert "overdue" in page.locator("tr.overdue").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pattern_of_an_overdue_bar_is_painted_in_both_themes(site, open_page, scheme) -> None:
    page = open_page(f"{site.url}/orders/SO-1", scheme=scheme)
    ground = page.locator(".overdue-ground").first.evaluate("e => getComputedStyle(e).fill")
    mark = page.locator(".overdue-mark").first.evaluate("e => getComputedStyle(e).stroke")
    assert ground != mark
    assert ground != page.evaluate("getComputedStyle(document.querySelector('.lane')).fill")


def test_a_page_shows_news_by_itself_and_keeps_what_was_opened(site, open_page) -> None:
    page = open_page(f"{site.url}/orders/SO-1")
    page.locator("details.as-table summary").click()
    site.scene.says("inventory", "inventory.reserved", 3 * 3600 * 10**9, order__id="SO-1")
    site.scene.service.tick()
    page.locator("svg.gantt g.is-overdue rect.failed").wait_for(state="detached", timeout=15_000)
    assert page.locator("details.as-table").get_attribute("open") is not None


def test_a_page_is_left_alone_while_somebody_types(site, open_page) -> None:
    page = open_page(f"{site.url}/incidents/paid_not_reserved-1")
    page.locator(".acknowledge input[name=by]").fill("Li Wei")
    page.get_by_role("button", name="I take this on").click()
    page.get_by_text("Acknowledged by Li Wei").first.wait_for()


def test_what_was_typed_into_each_of_two_forms_outlives_a_refresh(site, open_page) -> None:
    page = open_page(f"{site.url}/incidents/paid_not_reserved-1")
    page.locator(".acknowledge input[name=by]").fill("Li Wei")
    form = page.locator(".feedback form")
    form.locator("input[name=by]").fill("Zhang San")
    form.locator("select").select_option("wrong_cause")
    page.evaluate("document.activeElement.blur()")
    site.scene.says("inventory", "inventory.reserved", 3 * 3600 * 10**9, order__id="SO-1")
    site.scene.service.tick()
    page.get_by_text("5 orders affected").first.wait_for(timeout=15_000)
    assert page.locator(".acknowledge input[name=by]").input_value() == "Li Wei"
    assert form.locator("input[name=by]").input_value() == "Zhang San"
    form.get_by_role("button").click()
    page.locator(".feedback li").wait_for()
    assert "wrong cause" in page.locator(".feedback li").inner_text()


def test_a_person_approves_the_review_on_a_phone_in_chinese_and_the_orders_are_in_the_queue(
    site, open_page
) -> None:
    page = open_page(f"{site.url}/incidents/paid_not_reserved-1?lang=zh", width=375)
    form = page.locator(".actions form").first
    form.locator("input[name=by]").fill("李伟")
    form.get_by_role("button", name="批准").click()
    page.get_by_text("已进入队列").wait_for()
    assert page.evaluate(NO_OVERFLOW)
    page.locator(".actions").get_by_role("link", name="人工审核队列").click()
    page.wait_for_url("**/reviews")
    assert page.locator(".members li").count() == 6
    assert page.evaluate(NO_OVERFLOW)


@pytest.mark.parametrize(
    ("language", "this", "send", "told", "end", "none"),
    [
        ("en", "Silence this", "Silence", "silenced by Li Wei", "End it now", "Nothing is silenced."),
        ("zh", "静默此事件", "开始静默", "由 Li Wei 静默", "立即结束", "当前没有静默。"),
    ],
)
def test_a_person_silences_an_incident_on_a_phone_and_ends_it(
    site, open_page, language, this, send, told, end, none
) -> None:
    page = open_page(f"{site.url}/incidents/paid_not_reserved-1?lang={language}", width=375)
    page.get_by_text(this, exact=True).click()
    form = page.locator("form.silence")
    assert form.locator("textarea").input_value() == 'incident="paid_not_reserved-1"'
    form.locator("select").select_option("30m")
    form.locator("input[name=reason]").fill("stock count " + "x" * 200)
    form.locator("input[name=by]").fill("Li Wei")
    assert page.evaluate(NO_OVERFLOW)
    form.get_by_role("button", name=send).click()
    page.get_by_text(told).wait_for()
    assert page.evaluate(NO_OVERFLOW)
    page.locator(".muted a").click()
    page.wait_for_url("**/silences#*")
    assert page.evaluate(NO_OVERFLOW)
    page.get_by_role("button", name=end).click()
    page.get_by_text(none).wait_for()
    [ended] = site.scene.service.alerts.store.silences(0)
    assert ended.ends_at == site.scene.clock.now()


def test_nothing_in_an_order_runs(site, open_page) -> None:
    nasty = "<img src=x onerror=\"document.title='owned'\">"
    site.scene.refused("EVIL-1", 0, **{"message": nasty, "labels.promotion": f"</script><script>{nasty}"})
    page = open_page(f"{site.url}/orders/EVIL-1")
    assert nasty in page.locator(".events").inner_text()
    assert page.locator("main img, main script").count() == 0
    assert page.title() == "Order EVIL-1 · ordertrace"


def test_the_stages_are_on_paper_too(site, open_page) -> None:
    page = open_page(f"{site.url}/orders/SO-1")
    page.emulate_media(media="print")
    assert page.locator("svg.gantt").first.is_visible()
    assert not page.locator("header.top").is_visible()
    assert page.evaluate(NO_OVERFLOW)


def test_every_control_has_a_name_and_headings_come_in_order(site, open_page) -> None:
    for path in PATHS:
        page = open_page(site.url + path)
        nameless: Any = page.evaluate(
            """() => [...document.querySelectorAll('a, button, select, textarea, input:not([type=hidden])')].filter(e =>
              !(e.textContent.trim() || e.ariaLabel || (e.labels && e.labels.length))).map(e => e.outerHTML)"""
        )
        assert nameless == []
        levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(h => Number(h.tagName[1]))")
        assert levels[:1] == [1] and all(b - a <= 1 for a, b in pairwise(levels))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_phone_shows_the_whole_hint_of_the_search(site, open_page, language) -> None:
    page = open_page(f"{site.url}/?lang={language}", width=390)
    assert page.evaluate(
        """() => {
          const input = document.querySelector('input[type=search]'), style = getComputedStyle(input);
          const pen = document.createElement('canvas').getContext('2d');
          pen.font = style.font;
          const room = input.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
          return pen.measureText(input.placeholder).width <= room;
        }"""
    )


def test_the_cause_of_a_guide_is_within_two_screens_of_a_phone(site, open_page) -> None:
    page = open_page(f"{site.url}/incidents/paid_not_reserved-1", width=390)
    top = page.locator(".section-cause h2").evaluate("e => e.getBoundingClientRect().top + scrollY")
    assert top < 2 * 844
