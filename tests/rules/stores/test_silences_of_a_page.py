"""What a person does on the pages of one process holds for the one that tells, on each store that they share."""

import os
import re
from pathlib import Path

import pytest

from ordertrace_rules.clock import SetClock
from ordertrace_rules.event import Event
from ordertrace_rules.service import Service, open_service
from ordertrace_rules.settings import Settings, load_settings
from ordertrace_rules.times import MINUTE, format_instant, parse_instant
from ordertrace_rules.web.app import create_app

MORNING = parse_instant("2026-03-01T08:00:00Z")
PATH = "/incidents/paid_not_reserved-1"


@pytest.fixture(params=["sqlite", "elasticsearch"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    cluster = request.getfixturevalue("emptied_cluster") if request.param == "elasticsearch" else None
    where = f"es_namespace: {cluster.namespace}\n" if cluster else ""
    where += f"es_url: {request.getfixturevalue('elasticsearch_url')}\n" if cluster else ""
    file = tmp_path / "ordertrace.yaml"
    file.write_text(
        f"""sqlite_path: store.db
playbooks_off: [logs_missing]
completeness: {{default: {{source: file}}}}
alerting:
  receivers: [{{name: desk, type: terminal}}]
  route: {{receiver: desk, group_wait: 0s, group_interval: 1m}}
{where}"""
    )
    return load_settings(file, {**os.environ, "ORDERTRACE_STORE": request.param})


def said(service: str, action: str, order: str) -> Event:
    document = {
        "@timestamp": format_instant(MORNING),
        "service.name": service,
        "event.action": action,
        "order.id": order,
    }
    return Event.from_document(document, received=MORNING, source="test")


def turn(worker: Service, clock: SetClock, minutes: float) -> int:
    """Tick, and say how many deliveries were sent in all."""
    clock.advance_to(MORNING + round(minutes * MINUTE))
    for _ in range(2):
        worker.tick()
        worker.alerts.tick()
        worker.alerts.wait(30)
    worker.alerts.tick()
    return worker.alerts.counts()["sent"]


def test_a_silence_that_a_page_begins_and_ends_holds_for_another_worker(settings: Settings) -> None:
    clock = SetClock(MORNING)
    with open_service(settings, clock) as shown, open_service(settings, clock) as worker:
        client = create_app(shown).test_client()
        asked = {"matchers": ['playbook =~ "paid_.*"'], "by": "Ann", "reason": "count", "duration": "1d"}
        silence = client.post("/api/v1/silences", json=asked).get_json()
        worker.store.append([said("payment", "payment.captured", "SO-1")])
        other = ("inventory.reserved", "order.cancelled")  # an order by which the inventory is known to speak
        worker.store.append([said("inventory", action, "SO-2") for action in other])
        assert turn(worker, clock, 140) == 0
        assert "silenced by Ann: count" in client.get(PATH).text
        tag = client.get(PATH).headers["ETag"]
        token = re.search(r'name="form_token" value="([^"]+)"', client.get("/silences").text)
        assert token is not None
        ended = client.post(f"/silences/{silence['id']}/end", data={"form_token": token.group(1)})
        assert ended.status_code == 303
        assert client.get(PATH, headers={"If-None-Match": tag}).status_code == 200
        assert "silenced by" not in client.get(PATH).text
        assert turn(worker, clock, 150) == 1
        its_own = create_app(
            worker
        ).test_client()  # what another process writes, a search may see a second later
        [told] = its_own.get("/api/v1/deliveries").get_json()["deliveries"]
        assert (told["state"], told["signals"], told["log"][0]["result"]) == (
            "sent",
            ["paid_not_reserved-1:1"],
            "ok",
        )
        its_own.post(f"/api/v1/deliveries/{told['key']}/resend", json={})
        assert turn(worker, clock, 155) == 1
        [told] = its_own.get("/api/v1/deliveries").get_json()["deliveries"]
        assert len(told["log"]) == 2
