"""The orders of an incident as a list and as CSV."""

import csv
import io

from ordertrace_rules.times import HOUR, MINUTE

PATH = "/incidents/paid_not_reserved-1/orders"


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def test_the_guide_leads_to_the_list_of_all_orders_with_their_pages(client) -> None:
    assert f'href="{PATH}"' in client.get("/incidents/paid_not_reserved-1").text
    page = client.get(PATH).text
    assert page.count('<a class="id" href="/orders/SO-') == 6
    assert "99.50 CNY" in page
    assert "受影响订单" in client.get(f"{PATH}?lang=zh").text


def test_the_list_is_filtered_by_state_and_so_is_its_csv(morning, client) -> None:
    for number in range(2):
        morning.says("inventory", "inventory.reserved", 3 * HOUR, order__id=f"SO-{number}")
    morning.pass_to(3 * HOUR + MINUTE)
    assert client.get(f"{PATH}?state=resolved").text.count('<a class="id" href="/orders/SO-') == 2
    assert {r["order"] for r in rows(client.get(f"{PATH}.csv?state=resolved").text)} == {"SO-0", "SO-1"}
    assert len(rows(client.get(f"{PATH}.csv").text)) == 6
    assert "None is in this state" in client.get(f"{PATH}?state=withdrawn").text
    assert client.get(f"{PATH}?state=lost").status_code == 400
    assert client.get("/incidents/none-1/orders").status_code == 404


def test_the_list_goes_on_page_by_page(client, monkeypatch) -> None:
    monkeypatch.setattr("ordertrace_rules.web.cohort.PAGE", 4)
    monkeypatch.setattr("ordertrace_rules.web.cohort.BATCH", 4)
    first = client.get(PATH).text
    following = first.split('href="?state=all&amp;after=')[1].split('"')[0]
    assert client.get(f"{PATH}?state=all&after={following}").text.count('href="/orders/SO-') == 2
    assert len(rows(client.get(f"{PATH}.csv").text)) == 6


def test_no_cell_is_a_formula_to_a_spreadsheet(scene) -> None:
    for order in ('=HYPERLINK("http://x")', "@SUM(1)", "-1+1", "+1", "plain\u202e"):
        scene.refused(order, 0)
    scene.alive(3 * HOUR)
    scene.pass_to(3 * HOUR)
    orders = {r["order"] for r in rows(scene.client().get(f"{PATH}.csv").text)}
    assert orders == {'\'=HYPERLINK("http://x")', "'@SUM(1)", "'-1+1", "'+1", "plain"}
