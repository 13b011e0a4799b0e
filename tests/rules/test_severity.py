"""Severity: as the playbook says, louder with count, amount and age, and never softer while the incident is open."""

from dataclasses import replace

import pytest

from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.severity import severity_of
from ordertrace_rules.times import HOUR
from ordertrace_rules.vocabulary import Escalation, Incident, Playbook

ESCALATIONS = (
    Escalation("warning", count=2),
    Escalation("critical", count=4),
    Escalation("critical", amount=500.0, currency="CNY", age=3 * HOUR),
)


def world_with(make_world, *escalations: Escalation):
    loaded = load_catalogue(only=["paid_not_reserved"])
    (playbook,) = loaded.playbooks
    changed = replace(playbook, severity="info", escalations=escalations)
    return make_world(catalogue=replace(loaded, playbooks=(changed,)))


def kinds(world) -> list[tuple[str, str]]:
    return [(t.kind, t.note) for t in world.incidents()["paid_not_reserved-1"].transitions]


@pytest.mark.parametrize(
    ("count", "amounts", "hours", "severity"),
    [
        (1, {}, 9, "info"),
        (2, {}, 0, "warning"),
        (4, {}, 0, "critical"),
        (1, {"CNY": 500.0}, 3, "critical"),
        (1, {"CNY": 499.0}, 3, "info"),
        (1, {"CNY": 500.0}, 2, "info"),
        (1, {"USD": 900.0}, 3, "info"),
    ],
)
def test_all_that_a_line_names_has_to_hold(count: int, amounts: dict[str, float], hours: int, severity: str):
    playbook = Playbook("p", 1, {}, {}, "way", "info", None, escalations=ESCALATIONS)
    incident = Incident("p-1", "p", 1, "", 1, "info", "open", "firm", 0, 0, open_count=count, amounts=amounts)
    assert severity_of(incident, playbook, hours * HOUR) == severity
    assert severity_of(replace(incident, state="resolved"), playbook, hours * HOUR) == "info"


def test_getting_louder_is_a_step_of_its_own_and_it_stays_so_until_it_is_over(make_world):
    world = world_with(make_world, Escalation("critical", count=2))
    world.say(0, "payment", "payment.captured", "SO-1")
    world.tick(121)
    assert world.incidents()["paid_not_reserved-1"].severity == "info"
    world.say(1, "payment", "payment.captured", "SO-2")
    world.tick(125)
    assert kinds(world) == [("opened", ""), ("escalated", "critical")]
    world.say(126, "inventory", "inventory.reserved", "SO-2")
    world.tick(127)
    assert world.incidents()["paid_not_reserved-1"].severity == "critical"
    world.say(128, "inventory", "inventory.reserved", "SO-1")
    world.tick(129)
    assert world.incidents()["paid_not_reserved-1"].severity == "critical"
    assert kinds(world)[2:] == [("resolved", "")]


def test_age_alone_makes_it_louder_without_a_new_record(make_world):
    world = world_with(make_world, Escalation("critical", age=4 * HOUR))
    world.say(0, "payment", "payment.captured", "SO-1")
    world.tick(130)
    world.tick(239)
    assert kinds(world) == [("opened", "")]
    world.tick(240)
    assert kinds(world) == [("opened", ""), ("escalated", "critical")]


def test_only_subjects_with_the_labels_are_judged_and_a_label_that_changes_takes_it_back(make_world):
    loaded = load_catalogue(only=["paid_not_reserved"])
    (playbook,) = loaded.playbooks
    changed = replace(playbook, where={"channel": ("app", "web")}, where_not={"kind": ("presale",)})
    world = make_world(catalogue=replace(loaded, playbooks=(changed,)))
    world.say(0, "payment", "payment.captured", "SO-1", labels={"channel": "app"})
    world.say(0, "payment", "payment.captured", "SO-2", labels={"channel": "shop"})
    world.say(0, "payment", "payment.captured", "SO-3")
    world.say(0, "payment", "payment.captured", "SO-4", labels={"channel": "web", "kind": "presale"})
    world.tick(130)
    assert set(world.members("paid_not_reserved-1")) == {"SO-1"}
    world.say(131, "storefront", "order.placed", "SO-1", labels={"kind": "presale"})
    world.tick(132)
    assert world.members("paid_not_reserved-1")["SO-1"].state == "withdrawn"


def test_what_a_person_may_approve_stands_on_the_incident(make_world):
    world = world_with(make_world)
    world.say(0, "payment", "payment.captured", "SO-1")
    world.tick(121)
    proposals = world.incidents()["paid_not_reserved-1"].proposals
    assert [(p.kind, p.safe) for p in proposals] == [("manual_review", False), ("notify_customer", False)]
