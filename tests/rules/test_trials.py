"""The tests that playbooks carry: every shipped one has them and holds them; one that fails says what differs."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ordertrace_rules.aliases import Aliases
from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.cli.main import ordertrace
from ordertrace_rules.errors import ConfigError, Problem
from ordertrace_rules.trial_file import EXPECTED, TOLD, TRIAL
from ordertrace_rules.trial_run import run_trial

DOCS = Path(__file__).parents[2] / "docs"
SHIPPED = load_catalogue()
BASE = """\
playbook: late_picking
title: {en: Picking is late, zh: 拣货延误}
verdict: {en: late, zh: 延误}
process: order_fulfilment
severity: info
when:
  happened: wms.received
  but_not: wms.picked
  within: 4h
guide:
  summary: {en: It is late., zh: 延误了。}
  steps:
    - do: {en: Look., zh: 查看。}
  over_when: {en: It is there., zh: 已到货。}
"""


def run_on(tmp_path: Path, tests: str, *arguments: str, base: str = BASE) -> Result:
    path = tmp_path / "late.yaml"
    path.write_text(base + tests, encoding="utf-8")
    return CliRunner().invoke(ordertrace, ["test", str(path), *arguments])


def failures(tmp_path: Path, events: str, expect: str, **fields: str) -> list[str]:
    """What one test says that has these events and expects this."""
    more = "".join(f"    {name}: {value}\n" for name, value in fields.items())
    tests = f"tests:\n  - name: t\n{more}    events:\n{events}    expect: {expect}\n"
    result = run_on(tmp_path, tests, "--format", "json")
    assert result.exit_code in (0, 1), result.output
    (ran,) = json.loads(result.stdout)["tests"]
    assert ran["passed"] is (result.exit_code == 0) is (not ran["differences"])
    return ran["differences"]


def problems(tmp_path: Path, tests: str) -> tuple[Problem, ...]:
    path = tmp_path / "late.yaml"
    path.write_text(BASE + tests, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_catalogue((), [path])
    return caught.value.problems


# --- what is shipped --------------------------------------------------------------------------------------


@pytest.mark.parametrize("playbook", SHIPPED.playbooks, ids=lambda p: p.id)
def test_every_shipped_playbook_holds_its_own_tests(playbook) -> None:
    """It shows when it speaks, and when it does not."""
    assert any(trial.expected for trial in playbook.tests)
    assert any(not trial.expected for trial in playbook.tests)
    for trial in playbook.tests:
        assert run_trial(trial, playbook, SHIPPED, Aliases()) == (), trial.name


def test_without_a_path_all_are_run_and_listed() -> None:
    result = CliRunner().invoke(ordertrace, ["test"])
    assert result.exit_code == 0
    assert all(f"✓ {p.id} · {t.name}" in result.output for p in SHIPPED.playbooks for t in p.tests)


# --- what differs -----------------------------------------------------------------------------------------

RECEIVED = "      - {at: 1h, event: wms.received}\n"


def test_each_thing_that_is_otherwise_is_said(tmp_path: Path) -> None:
    wanted = "{state: resolved, opened: 4h, resolved: 6h, certainty: unverified, severity: critical}"
    assert failures(tmp_path, RECEIVED, wanted, until="6h") == [
        "SO-1: state expected resolved, found open",
        "SO-1: certainty expected unverified, found firm",
        "SO-1: severity expected critical, found info",
        "SO-1: opened expected 4h, found 5h",
        "SO-1: resolved expected 6h, found never",
    ]


def test_what_is_missing_and_what_is_too_much_is_said(tmp_path: Path) -> None:
    assert failures(tmp_path, RECEIVED, "{opened: 5h}", until="2h") == ["SO-1: nothing is said of it"]
    said = ["SO-1: not expected, found open, opened 5h"]
    assert failures(tmp_path, RECEIVED, "nothing", until="6h") == said
    assert failures(tmp_path, RECEIVED, "[{subject: SO-2}]", until="6h") == [
        "SO-2: nothing is said of it",
        *said,
    ]
    assert failures(tmp_path, RECEIVED, "{opened: 5h}", until="6h") == []


def test_a_group_of_orders_is_expected_as_one(tmp_path: Path) -> None:
    events = "      - {at: 0s, event: wms.received, order: stuck}\n"
    events += "      - {at: 5h, event: wms.picked, order: stuck-2}\n"
    orders = {"orders": "{stuck: 3}", "until": "6h"}
    assert failures(tmp_path, events, "{subject: stuck, opened: 4h}", **orders) == [
        "stuck: state expected open, found resolved (1 of 3)"
    ]


def test_times_are_told_exactly(tmp_path: Path) -> None:
    event = "      - {at: 1m1s, event: wms.received}\n"
    said = ["SO-1: opened expected 4h1m, found 4h1m1s"]
    assert failures(tmp_path, event, "{opened: 4h1m}", until="6h") == said


def test_a_record_may_arrive_late_be_repeated_and_be_of_no_order(tmp_path: Path) -> None:
    events = RECEIVED + "      - {at: 2h, event: wms.picked, arrives: 6h}\n"
    assert failures(tmp_path, events, "{state: withdrawn}") == []
    beats = "      - {at: 0s, event: heartbeat, service: wms, every: 1m, times: 600}\n"
    assert failures(tmp_path, RECEIVED + beats, "{certainty: firm}", completeness="heartbeat") == []
    assert failures(tmp_path, RECEIVED, "{certainty: unverified}", completeness="heartbeat", until="6h") == []


def test_working_time_starts_on_the_day_that_the_test_names(tmp_path: Path) -> None:
    office = BASE + "calendar: {zone: UTC, hours: 09:00-17:00}\n"
    tests = (
        "tests:\n  - name: t\n    start: 2026-03-06T15:00:00Z\n    events:\n"
        "      - {at: 0s, event: wms.received}\n    until: 4d\n    expect: {opened: 68h}\n"
    )  # Friday at three; Monday at eleven
    assert run_on(tmp_path, tests, base=office).exit_code == 0


# --- the command ------------------------------------------------------------------------------------------

FAILING = """\
tests:
  - name: holds
    events: [{at: 0s, event: wms.received}]
    until: 1h
    expect: nothing
  - name: fails
    events: [{at: 0s, event: wms.received}]
    until: 5h
    expect: nothing
"""


def test_a_failing_test_is_shown_with_its_line_and_exits_with_1(tmp_path: Path) -> None:
    result = run_on(tmp_path, FAILING)
    assert result.exit_code == 1
    line = (BASE + FAILING).splitlines().index("  - name: fails") + 1
    assert result.stdout.splitlines()[:4] == [
        "✓ late_picking · holds",
        "✗ late_picking · fails",
        f"    {tmp_path / 'late.yaml'}:{line}",
        "    SO-1: not expected, found open, opened 4h",
    ]
    assert "2 tests of 1 playbooks, 1 failed" in result.stderr


def test_a_playbook_without_tests_is_named_and_proves_nothing(tmp_path: Path) -> None:
    result = run_on(tmp_path, "")
    assert result.exit_code == 1
    assert "late_picking · no tests" in result.output
    assert json.loads(run_on(tmp_path, "", "--format", "json").stdout)["untested"] == ["late_picking"]


def test_a_changed_copy_is_tested_in_place_of_the_configured_one(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "late.yaml").write_text(BASE + FAILING, encoding="utf-8")
    config = tmp_path / "ordertrace.yaml"
    config.write_text("playbooks: site\n", encoding="utf-8")
    changed = tmp_path / "changed.yaml"
    changed.write_text((BASE + FAILING).replace("within: 4h", "within: 9h"), encoding="utf-8")
    run = CliRunner().invoke
    assert run(ordertrace, ["--config", str(config), "test", str(tmp_path / "site")]).exit_code == 1
    assert run(ordertrace, ["--config", str(config), "test", str(changed)]).exit_code == 0


def test_mistakes_in_the_file_come_before_its_tests(tmp_path: Path) -> None:
    result = run_on(tmp_path, FAILING.replace("wms.received", "wms.recieved"))
    assert result.exit_code == 2
    assert "wms.recieved" in result.output
    assert "did you mean “wms.received”?" in result.output


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("name: holds", "nam: holds", "  - nam: holds", "not a field"),
        ("name: fails", "name: holds", "  - name: holds", "two tests of one name"),
        ("until: 1h", "start: 2026-02-30T00:00:00Z", "    start: 2026-02-30T00:00:00Z", "no such time"),
        ("until: 1h", "start: monday", "    start: monday", "has not the form"),
        ("expect: nothing", "expect: none", "    expect: none", "no expectation"),
        ("expect: nothing", "expect: {state: opn}", "    expect: {state: opn}", "“opn” is not known"),
        ("expect: nothing", "expect: {order: SO-1}", "    expect: {order: SO-1}", "not a field"),
        (
            "[{at: 0s, event: wms.received}]",
            "[{at: 0s, event: wms.received, times: 3}]",
            "    events: [{at: 0s, event: wms.received, times: 3}]",
            "not after how long",
        ),
        ("[{at: 0s, event: wms.received}]", "[{at: 0s}]", "    events: [{at: 0s}]", "says nothing"),
    ],
)
def test_each_mistake_in_a_test_has_its_line(
    tmp_path: Path, old: str, new: str, line: str, message: str
) -> None:
    assert old in FAILING
    found = [p for p in problems(tmp_path, FAILING.replace(old, new, 1)) if message in p.message]
    assert [p.text for p in found] == [line]
    assert found[0].fix


@pytest.mark.parametrize("name", sorted({field.name for r in (TRIAL, TOLD, EXPECTED) for field in r.fields}))
def test_every_field_of_a_test_is_documented(name: str) -> None:
    assert f"`{name}`" in (DOCS / "playbooks-tests.md").read_text(encoding="utf-8")
