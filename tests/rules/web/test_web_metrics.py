"""The metrics: what they count, and that each is documented."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from ordertrace_alerting.vocabulary import Attempt, Delivery, TargetState
from ordertrace_rules.clocks import Lag, take_in
from ordertrace_rules.times import HOUR, NS

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"


def families(client) -> dict:
    return {f.name: f for f in text_string_to_metric_families(client.get("/metrics").text)}


def value(found, family: str, **labels: str) -> float:
    return next(
        s.value for s in found[family].samples if s.labels == labels and not s.name.endswith("_created")
    )


def test_open_incidents_and_their_orders_are_counted_by_playbook(client) -> None:
    found = families(client)
    assert value(found, "ordertrace_incidents", playbook="paid_not_reserved", state="open") == 1
    assert value(found, "ordertrace_affected_subjects", playbook="paid_not_reserved") == 6


def test_a_playbook_without_an_incident_is_a_zero_not_a_gap(client) -> None:
    assert (
        value(families(client), "ordertrace_incidents", playbook="paid_not_reserved", state="acknowledged")
        == 0
    )


def test_the_intake_and_what_was_kept_aside_are_counted(morning, client) -> None:
    before = value(families(client), "ordertrace_stored_events")
    client.post("/api/v1/events", data="not json\n", content_type="application/x-ndjson")
    morning.says("payment", "payment.captured", HOUR, order__id="M-1")
    found = families(client)
    assert value(found, "ordertrace_stored_events") == before + 1
    assert value(found, "ordertrace_intake_records", result="kept_aside") == 1
    [reason] = found["ordertrace_kept_aside_records"].samples
    assert reason.value == 1


def test_the_schedule_is_read_from_its_pulse(morning, client) -> None:
    morning.service.pulse.ticks = 7
    morning.service.pulse.orphans = 3
    morning.service.pulse.problems = ("playbook x: boom",)
    found = families(client)
    assert value(found, "ordertrace_ticks", schedule="tick") == 7
    assert value(found, "ordertrace_orphan_events") == 3
    assert value(found, "ordertrace_failing_rules") == 1


def test_deliveries_are_counted_by_state(client) -> None:
    assert value(families(client), "ordertrace_deliveries", state="pending") == 0


def test_two_applications_do_not_share_a_registry(make_scene) -> None:
    first, second = make_scene(), make_scene()
    first.paid("X-1", 0)
    assert value(families(second.client()), "ordertrace_stored_events") == 0


def test_every_metric_is_documented_with_its_labels_and_no_other_is(morning, client) -> None:
    client.post("/api/v1/events", data="not json\n", content_type="application/x-ndjson")
    now = morning.clock.now()
    take_in(morning.service.store, [Lag(("payment", "wms"), f"p:{n}", now, -9 * NS) for n in range(20)], now)
    delivery = Delivery("k", "g", 1, "chat", 0, (), "t", 0, "{}")
    attempt = Attempt("k", 1, now, "ok", 200, "", 40_000_000, "")
    morning.service.alerts.tally.count("chat", attempt, delivery)
    morning.service.alerts.store.put_target(TargetState("chat", open_since=now), None)
    exposed = {}
    for family in families(client).values():
        name = family.name + ("_total" if family.type == "counter" else "")
        exposed[name] = {label for sample in family.samples for label in sample.labels}
    rows = re.findall(r"^\| `(ordertrace_\w+)` \| [^|]+ \|([^|]*)\|", DOCS.read_text(encoding="utf-8"), re.M)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert documented == exposed
