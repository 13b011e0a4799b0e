"""One mistake a file in what says when and to whom: where it is, what is said, and the way out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from ordertrace_alerting import alerting_schema
from ordertrace_rules.cli.main import ordertrace
from ordertrace_rules.errors import ConfigError
from ordertrace_rules.settings import load_settings
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.vocabulary import Incident
from ordertrace_rules.yamlfile import parse_yaml

RECEIVERS = "  receivers: [{name: a, type: terminal}, {name: b, type: terminal}]\n"
WINDOW = "starts_at: 2026-11-11T00:00:00+08:00, ends_at: 2026-11-12T00:00:00+08:00"

MISTAKES: list[tuple[str, str]] = [
    ("route: {receiver: a, receivers: [b]}", "write them all into `receivers`"),
    ("route: {receivers: [a, c]}", "'c' is not known"),
    ("route: {receivers: []}", "names no receiver"),
    ("route: {receivers: a}", "must be a list of texts"),
    ("route: {receiver: a, escalation: [{receiver: b}]}", "say how long nobody may have acknowledged it"),
    ("route: {receiver: a, escalation: [{after: 5m}]}", "name who is told then"),
    ("route: {receiver: a, escalation: [{after: 5m, receiver: c}]}", "'c' is not known"),
    ("route: {receiver: a, escalation: [{after: soon, receiver: b}]}", "not a duration"),
    ("route: {receiver: a, escalation: [{after: 0s, receiver: b}]}", "out of range"),
    (
        "route: {receiver: a, escalation: [{after: 5m, receiver: b}, {after: 5m, receiver: a}]}",
        "is not later than the step before",
    ),
    ("route: {receiver: a, escalation: {after: 5m}}", "must be a list"),
    ("route: {receiver: a, routes: [{matchers: ['a=\"b'], receiver: b}]}", "a quote is not closed"),
    ("circuit: {failures: 0}", "whole number from 1"),
    ("circuit: {pause: 0s}", "out of range"),
    ("circuit: {pauses: 5m}", "did you mean 'pause'?"),
    ("storm: {groups: none}", "whole number from 1"),
    ("storm: {interval: 2d}", "out of range"),
    ("maintenance: {name: x}", "must be a list"),
    (f"maintenance: [{{{WINDOW}}}]", "say what is maintained"),
    ("maintenance: [{name: x, starts_at: 2026-11-11T00:00:00+08:00}]", "ends_at"),
    (
        "maintenance: [{name: x, starts_at: 2026-11-11T00:00:00, ends_at: 2027-11-11T00:00:00Z}]",
        "with its offset from UTC",
    ),
    ("maintenance: [{name: x, starts_at: monday, ends_at: 2027-11-11T00:00:00Z}]", "not an instant"),
    (
        "maintenance: [{name: x, starts_at: 2026-11-11T00:00:00Z, ends_at: 2025-11-11T00:00:00Z}]",
        "is not after `starts_at`",
    ),
    (f"maintenance: [{{name: x, matchers: [owner], {WINDOW}}}]", "not a matcher"),
    ("quiet_hours: [{name: n, matchers: [a=b], from: '22:00'}]", "write it like"),
    ("quiet_hours: [{name: n, matchers: [a=b], from: '25:00', to: '08:00'}]", "not a time of day"),
    ("quiet_hours: [{name: n, matchers: [a=b], from: '22:00', to: '22:00'}]", "the same as `from`"),
    ("quiet_hours: [{name: n, from: '22:00', to: '08:00'}]", "even what is critical would wait"),
    ("quiet_hours: [{matchers: [a=b], from: '22:00', to: '08:00'}]", "give it a name"),
    (
        "quiet_hours: [{name: n, matchers: [a=b], from: '22:00', to: '08:00', timezone: Mars/Base}]",
        "is not a time zone",
    ),
    (
        "quiet_hours: [{name: n, matchers: [a=b], from: '22:00', to: '08:00', days: [monday]}]",
        "did you mean 'mon'?",
    ),
    ("quiet_hours: [{name: n, matchers: [a=b], from: '22:00', to: '08:00', days: []}]", "names no day"),
    ("inhibit: [{targets: [a=b]}]", "any incident would silence the others"),
    ("inhibit: [{sources: [a=b]}]", "everything would be silenced"),
    ("inhibit: [{sources: [a=b], targets: [c=d], equals: [e]}]", "did you mean 'equal'?"),
    ("inhibit: [{sources: [a=b], targets: [c=d], equal: e}]", "must be a list of texts"),
    ("daily_report: {timezone: Asia/Shanghai}", "write it like"),
    ("daily_report: {at: 9am}", "not a time of day"),
    ("dead_man: {every: 1m}", "give the address"),
    ("dead_man: {url: ftp://x/}", "must begin with https://"),
    ("dead_man: {url: https://x/, every: 0s}", "out of range"),
    ("dead_man: {url_file: /nowhere/at/all}", "cannot be read"),
]

OF_RECEIVERS: list[tuple[str, str]] = [
    ("{name: a, type: slack, url_file: /nowhere/at/all}", "name a file that this program may read"),
    ("{name: a, type: slack, url: https://x/, url_file: /etc/hostname}", "not both"),
    ("{name: a, type: slack, url_file: /etc/hostname, url_env: PATH}", "not both"),
    ("{name: a, type: slack, url_env: ORDERTRACE_NO_SUCH_VARIABLE}", "there is no such variable"),
    ("{name: a, type: terminal, digest: 5}", "must be true or false"),
    ("{name: a, type: terminal, rate_limit: {per: 1m}}", "say how many messages"),
    ("{name: a, type: terminal, rate_limit: {count: 0, per: 1m}}", "whole number from 1"),
    ("{name: a, type: terminal, rate_limit: {count: 1, per: 0s}}", "out of range"),
]


BEYOND_A_SCHEMA = {
    "'c' is not known",
    "out of range",
    "is not later than the step before",
    "a quote is not closed",
    "is not after `starts_at`",
    "the same as `from`",
    "is not a time zone",
    "cannot be read",
    "name a file that this program may read",
    "there is no such variable",
}
"""What takes more than the shape: other places, an order, a length, the file that is named."""


def told(path: Path, text: str) -> str:
    """What is said of the one mistake in the file."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {})
    assert caught.value.problems
    assert all(problem.line >= 2 and problem.file == str(path) for problem in caught.value.problems)
    return str(caught.value)


@pytest.mark.parametrize(("section", "says"), MISTAKES)
def test_a_mistake_is_shown_with_its_line_and_the_way_out(tmp_path: Path, section: str, says: str) -> None:
    route = "" if section.startswith("route") else "  route: {receiver: a}\n"
    assert says in told(tmp_path / "ordertrace.yaml", f"alerting:\n{RECEIVERS}{route}  {section}\n")


@pytest.mark.parametrize(("receiver", "says"), OF_RECEIVERS)
def test_a_mistake_in_a_receiver_is_shown_too(tmp_path: Path, receiver: str, says: str) -> None:
    assert says in told(tmp_path / "ordertrace.yaml", f"alerting:\n  receivers:\n    - {receiver}\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [(f"{RECEIVERS}  {section}\n", says) for section, says in MISTAKES]
    + [(f"  receivers:\n    - {receiver}\n", says) for receiver, says in OF_RECEIVERS],
)
def test_the_schema_refuses_what_is_a_matter_of_shape(text: str, says: str) -> None:
    data = parse_yaml(f"alerting:\n{text}", "ordertrace.yaml").data["alerting"]
    assert Draft202012Validator(alerting_schema()).is_valid(data) is (says in BEYOND_A_SCHEMA)


def run(path: Path, *arguments: str) -> Any:
    return CliRunner().invoke(ordertrace, ["--config", str(path), "alerts", *arguments])


def test_check_draws_the_tree_and_says_who_is_reached_and_what_waits(tmp_path: Path) -> None:
    path = tmp_path / "ordertrace.yaml"
    path.write_text(
        f"sqlite_path: {tmp_path / 'x.db'}\nalerting:\n{RECEIVERS}"
        "  route: {receivers: [a, b], escalation: [{after: 15m, receiver: b}]}\n"
        "  maintenance: [{name: count, matchers: [owner=wms],"
        " starts_at: 2020-01-01T00:00:00Z, ends_at: 2200-01-01T00:00:00Z}]\n"
    )
    shown = run(path, "check", "owner=wms")
    assert shown.exit_code == 0, shown.output
    for line in ("reaches: a, b", "not acknowledged for 15m: b", "waits now: maintenance count"):
        assert line in shown.output


def test_check_takes_an_incident_of_the_store_too(tmp_path: Path) -> None:
    path = tmp_path / "ordertrace.yaml"
    path.write_text(
        f"sqlite_path: {tmp_path / 'x.db'}\nalerting:\n{RECEIVERS}"
        "  route: {receiver: a, routes: [{receiver: b, matchers: [owner=inventory, certainty=firm]}]}\n"
    )
    assert "there is no store" in run(path, "check", "--incident", "paid_not_reserved-1").output
    store = SqliteStore(tmp_path / "x.db")
    incident = Incident(
        "paid_not_reserved-1", "paid_not_reserved", 1, "", 1, "critical", "open", "firm", 1, 1, open_count=2
    )
    store.put_incident(incident, None)
    store.close()
    shown = run(path, "check", "--incident", "paid_not_reserved-1")
    assert shown.exit_code == 0, shown.output
    assert "incident=paid_not_reserved-1 playbook=paid_not_reserved severity=critical" in shown.output
    assert "reaches: b\n" in shown.output
    assert "there is no incident 'x-9'" in run(path, "check", "--incident", "x-9").output
    assert run(path, "check", "owner=wms", "--incident", "paid_not_reserved-1").exit_code == 2


def test_a_misspelt_label_is_found_wherever_labels_stand(tmp_path: Path) -> None:
    path = tmp_path / "ordertrace.yaml"
    path.write_text(
        f"alerting:\n{RECEIVERS}"
        "  route:\n    receiver: a\n    group_by: [playbok]\n"
        "    routes: [{receiver: b, matchers: ['sevrity = critical']}]\n"
        "  inhibit: [{sources: [owner=wms], targets: [certanty=unverified], equal: [ownr]}]\n"
    )
    for said in (run(path, "check").output, CliRunner().invoke(ordertrace, ["lint", str(path)]).output):
        for misspelt, meant in (
            ("playbok", "playbook"),
            ("sevrity", "severity"),
            ("certanty", "certainty"),
            ("ownr", "owner"),
        ):
            assert f"nothing has the label “{misspelt}”" in said
            assert f"did you mean “{meant}”?" in said
        assert "4 problems" in said
    path.write_text(f"alerting:\n{RECEIVERS}  route: {{receiver: a}}\n")
    assert "did you mean “severity”?" in run(path, "check", "sevrity=critical").output


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"explained_by": "logs_missing-1"}, "nobody was told yet: logs_missing-1 explains it"),
        (
            {"certainty": "unverified"},
            "nobody was told yet: it is unverified; it is told once it is firm, at the",
        ),
        ({"announced": True, "explained_by": "logs_missing-1"}, ""),
        ({"state": "resolved", "explained_by": "logs_missing-1"}, ""),
    ],
)
def test_check_says_why_nobody_was_told_of_an_incident(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    path = tmp_path / "ordertrace.yaml"
    path.write_text(f"sqlite_path: {tmp_path / 'x.db'}\nalerting:\n{RECEIVERS}  route: {{receiver: a}}\n")
    store = SqliteStore(tmp_path / "x.db")
    known = Incident("paid_not_reserved-1", "paid_not_reserved", 1, "", 1, "critical", "open", "firm", 1, 1)
    store.put_incident(replace(known, **changes), None)
    store.close()
    shown = run(path, "check", "--incident", "paid_not_reserved-1").output
    assert says in shown
    assert ("nobody was told yet" in shown) is bool(says)
