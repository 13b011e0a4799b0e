"""Drills: a simulated shop with a known fault, and what has to be said of it."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules.aliases import Aliases
from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.cli.drill import HEADINGS
from ordertrace_rules.cli.main import ordertrace as main
from ordertrace_rules.completeness import CompletenessRules
from ordertrace_rules.drill.drill import Score, run
from ordertrace_rules.drill.scenarios import SCENARIOS, START
from ordertrace_rules.drill.shop import FORWARD, healthy_order
from ordertrace_rules.drill.weather import Outage, Weather, arrivals
from ordertrace_rules.engine import Rules
from ordertrace_rules.event import Event
from ordertrace_rules.incidents import IncidentRules
from ordertrace_rules.times import HOUR, MINUTE, NS

ORDERS = 120  # fewer than the scenarios have: a drill in seconds


@pytest.fixture(scope="module")
def rules() -> Rules:
    patient = IncidentRules(diagnose_every=None)
    return Rules(load_catalogue(), Aliases(), CompletenessRules(), patient)


def drilled(name: str, rules: Rules, seed: int = 1) -> Score:
    return run(replace(SCENARIOS[name], orders=ORDERS), seed, rules)


def records(weather: Weather, seed: int = 1) -> list[Event]:
    chance = Random(seed)
    orders = [healthy_order(number, START + number * MINUTE, True, chance) for number in range(20)]
    span = (START - HOUR, START + 200 * HOUR)
    return [read.event for read in arrivals(orders, (), weather, span, 30 * MINUTE, chance)]


def test_there_are_at_least_twelve_scenarios_and_each_names_playbooks_that_are_shipped():
    assert len(SCENARIOS) >= 12
    shipped = {playbook.id for playbook in load_catalogue().playbooks}
    for scenario in SCENARIOS.values():
        assert (scenario.expects == "firm") == bool(scenario.playbooks & shipped), scenario.name


@pytest.mark.parametrize(
    "name", ["inventory_contention", "one_sku_oversold", "wrong_clocks", "not_collected"]
)
def test_a_fault_is_told_of_the_harmed_orders_and_of_no_others_and_its_cause_is_named(
    name: str, rules: Rules
):
    score = drilled(name, rules)
    assert score.harmed > 10
    assert score.shortfalls(SCENARIOS[name]) == []
    assert (score.precision, score.accused_falsely) == (1.0, 0)
    assert score.cause_right


def test_a_shop_in_which_nothing_is_wrong_is_left_in_peace(rules: Rules):
    score = drilled("calm", rules)
    assert (score.told, score.accused_falsely, score.unverified, score.logs_missing) == (0, 0, 0, 0)


def test_where_all_evidence_is_lost_nobody_is_accused_and_that_is_said(rules: Rules):
    score = drilled("all_evidence_lost", rules)
    assert (score.accused_falsely, score.cause) == (0, "")
    assert score.unverified > 0
    assert score.logs_missing == 1


def test_what_late_records_disprove_is_taken_back(rules: Rules):
    score = drilled("records_delayed", rules)
    assert (score.accused_falsely, score.unverified, score.logs_missing) == (0, 0, 0)
    assert score.withdrawn > 0


def test_the_same_seed_gives_the_same_run_and_another_another(rules: Rules):
    assert drilled("payment_stuck", rules, 3) == drilled("payment_stuck", rules, 3)
    assert drilled("payment_stuck", rules, 3) != drilled("payment_stuck", rules, 4)


def test_records_come_doubled_late_and_out_of_order_but_by_their_arrival():
    stormy = records(Weather(doubled=0.5, late=0.5))
    assert [e.ingested for e in stormy] == sorted(e.ingested for e in stormy)
    assert len({e.id for e in stormy}) < len(stormy)
    assert [e.timestamp for e in stormy] != sorted(e.timestamp for e in stormy)
    quiet = records(Weather(doubled=0, late=0, jitter=1, clocks={}))
    assert len({e.id for e in quiet}) == len(quiet)


def test_what_is_lost_leaves_a_hole_in_the_sequence():
    whole, lossy = records(Weather(doubled=0)), records(Weather(doubled=0, lost=0.2))
    assert len(lossy) < len(whole)
    numbers = sorted(e.sequence or 0 for e in lossy if e.service == "wms")
    assert set(range(1, numbers[-1])) - set(numbers)
    assert sorted(e.sequence or 0 for e in whole if e.service == "wms") == list(
        range(1, sum(e.service == "wms" for e in whole) + 1)
    )


def test_an_outage_holds_a_services_records_back_until_it_ends_or_for_ever():
    start, end = START + HOUR, START + 3 * HOUR
    held = records(Weather(doubled=0, outages=(Outage("wms", start, end, START + 9 * HOUR),)))
    within = [e for e in held if e.service == "wms" and start <= e.timestamp < end]
    assert within
    assert all(e.ingested >= START + 9 * HOUR for e in within)
    gone = records(Weather(doubled=0, outages=(Outage("wms", start, end),)))
    assert not [e for e in gone if e.service == "wms" and start <= e.timestamp < end]


def test_a_wrong_clock_moves_what_the_service_says_and_not_when_it_arrives():
    right, wrong = records(Weather(clocks={})), records(Weather(clocks={"wms": 90 * NS}))
    moved = {e.id: e.timestamp for e in wrong if e.service == "wms"}
    assert all(moved[e.id] - e.timestamp == 90 * NS for e in right if e.service == "wms")
    assert [e.ingested for e in right] == [e.ingested for e in wrong]


def test_each_system_knows_an_order_by_its_own_ids_only():
    said = {e.action: e for e in records(Weather())}
    assert (said["wms.picked"].order_id, set(said["wms.picked"].refs)) == ("", {"shipment_id"})
    assert set(said["delivery.signed"].refs) == {"tracking_no"}
    assert {step.action for step in FORWARD} <= said.keys()
    assert said[ecs.HEARTBEAT].kind == "metric"


def test_the_command_prints_a_score_and_fails_where_something_was_not_said(monkeypatch: pytest.MonkeyPatch):
    command = ["drill", "--scenario", "payment_stuck", "--orders", "60", "--format", "json"]
    good = CliRunner().invoke(main, command)
    [told] = json.loads(good.stdout)["runs"]
    assert (good.exit_code, told["shortfalls"], told["cause"], told["recall"]) == (0, [], "payment", 1.0)
    wrong = replace(SCENARIOS["payment_stuck"], cause="wms")
    monkeypatch.setitem(SCENARIOS, "payment_stuck", wrong)  # type: ignore[arg-type]
    bad = CliRunner().invoke(main, command[:-2])
    assert bad.exit_code == 1
    assert "the cause named is payment, not wms" in bad.stdout


PAGE = (Path(__file__).parents[2] / "docs" / "drill.md").read_text(encoding="utf-8")


def test_the_page_has_a_row_for_every_scenario_in_their_order_and_none_falls_short():
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    results = [row for row in rows if len(row) == len(HEADINGS)]
    assert [row[0].strip("`") for row in results] == list(SCENARIOS)
    assert {row[HEADINGS.index("falsely")] for row in results} == {"0"}


@pytest.mark.parametrize("name", ["payment_stuck", "charged_twice"])
def test_a_row_of_the_page_is_what_the_command_prints(name: str):
    run = CliRunner().invoke(main, ["drill", "--scenario", name, "--format", "markdown"])
    assert run.exit_code == 0, run.output
    heading, _, row = run.stdout.splitlines()
    assert {heading, row} <= set(PAGE.splitlines())


def test_records_that_are_lost_one_by_one_leave_gaps_that_are_told_and_accuse_nobody(rules: Rules):
    score = drilled("records_lost", rules)
    assert (score.told, score.accused_falsely, score.cause) == (0, 0, "")
    assert score.unverified > 0
    assert score.gaps > 0


def test_the_list_shows_every_scenario():
    listed = CliRunner().invoke(main, ["drill", "--list"]).stdout
    assert all(name in listed for name in SCENARIOS)


def test_the_time_scale_of_a_demo_changes_no_drill(monkeypatch: pytest.MonkeyPatch):
    command = ["drill", "--scenario", "payment_stuck", "--orders", "20", "--format", "json"]
    plain = CliRunner().invoke(main, command)
    monkeypatch.setenv("ORDERTRACE_TIME_SCALE", "720")
    assert CliRunner().invoke(main, command).stdout == plain.stdout
