"""Lint: what a person sees at the terminal, and what a program reads."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from ordertrace_rules.cli.lint import lint
from ordertrace_rules.errors import Problem
from ordertrace_rules.intake.mapping_file import load_mappings
from ordertrace_rules.lint import lint_paths, show
from ordertrace_rules.settings import load_settings

PLAYBOOK = """\
playbook: aaa
title: {en: Late, zh: 延误}
verdict: {en: late, zh: 延误}
process: order_fulfilment
severity: warning
stage: resrvation
when:
  happened: wms.received
  but_not: wms.picked
  within: 0s
guide:
  summary: {en: It is late., zh: 延误了。}
  steps:
    - do: {en: Look., zh: 查看。}
  over_when: {en: It is there., zh: 已到货。}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ORDERTRACE_CONFIG", raising=False)
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks/aaa.yaml").write_text(PLAYBOOK, encoding="utf-8")
    return tmp_path


def run(*arguments: str, config: Path | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(lint, arguments, obj=SimpleNamespace(settings=load_settings(config, {})))
    return result.exit_code, result.output


def test_each_problem_is_shown_with_its_line_and_carets_and_the_way_out(site: Path) -> None:
    code, output = run("playbooks")
    assert code == 1
    assert (
        output
        == """\
playbooks/aaa.yaml:6:8: the process “order_fulfilment” has no stage “resrvation”
  6 | stage: resrvation
    |        ^^^^^^^^^^
    = did you mean “reservation”?

playbooks/aaa.yaml:10:11: a duration of zero
  10 |   within: 0s
     |           ^^
     = write how long it may take, such as 2h

1 file, 2 problems
"""
    )


def test_a_playbook_that_is_switched_off_and_is_not_there_is_told_with_the_nearest_name(site: Path) -> None:
    config = site / "ordertrace.yaml"
    (site / "playbooks/aaa.yaml").write_text(
        PLAYBOOK.replace("resrvation", "reservation").replace("0s", "2h"), encoding="utf-8"
    )
    config.write_text(
        "playbooks: [playbooks]\nplaybooks_off: [aaa, callback_lost, callback_lots]\n", encoding="utf-8"
    )
    code, output = run(config=config)
    assert (code, output.count("there is no playbook")) == (1, 1)
    assert "ordertrace.yaml:2:37: there is no playbook “callback_lots”" in output
    assert "did you mean “callback_lost”?" in output
    config.write_text("playbooks_off: nothing_near\n", encoding="utf-8")
    assert "ordertrace.yaml:1:16" in run(config=config)[1]
    assert "the playbooks are" in run("ordertrace.yaml")[1]
    assert run("playbooks", config=config)[0] == 0  # what is not asked for is not linted


def test_one_that_the_environment_switches_off_is_checked_too(site: Path) -> None:
    settings = load_settings(None, {"ORDERTRACE_PLAYBOOKS_OFF": "callback_lost,callback_lots"})
    [problem] = lint_paths([], settings).problems
    assert problem.message == "ORDERTRACE_PLAYBOOKS_OFF: there is no playbook “callback_lots”"
    assert "callback_lost" in problem.fix


@pytest.mark.parametrize("twice", ["playbook: bbb", "process: order_return", "when: {}", "severity: loud"])
def test_a_key_that_is_there_twice_hides_nothing_else(site: Path, twice: str) -> None:
    (site / "playbooks/aaa.yaml").write_text(PLAYBOOK + twice + "\n", encoding="utf-8")
    last = PLAYBOOK.count("\n") + 1
    assert [p.line for p in lint_paths([Path("playbooks")], None).problems] == [6, 10, last]


def test_keys_that_are_there_twice_are_told_of_mappings_settings_and_files_of_no_kind(site: Path) -> None:
    (site / "x.yaml").write_text("mapping: x\nmapping: y\nrulez: []\nrules: []\n", encoding="utf-8")
    (site / "y.yaml").write_text("port: 1\nport: 2\ntick_interval: soon\n", encoding="utf-8")
    (site / "z.yaml").write_text("hello: 1\nhello: 2\n", encoding="utf-8")
    found = lint_paths([Path("x.yaml"), Path("y.yaml"), Path("z.yaml")], None).problems
    assert [(p.file[0], p.line) for p in found] == [
        *[("x", 2), ("x", 3), ("x", 4)],
        *[("y", 2), ("y", 3)],
        *[("z", 1), ("z", 2)],
    ]


@pytest.mark.parametrize("name", ["aaa", "Not-a-name"])
def test_an_unknown_process_hides_no_unknown_playbook(site: Path, name: str) -> None:
    text = PLAYBOOK.replace(": aaa", f": {name}\ndepends_on: [nope]").replace("order_fulfilment", "nowhere")
    (site / "playbooks/aaa.yaml").write_text(text, encoding="utf-8")
    said = " ".join(p.message for p in lint_paths([Path("playbooks")], None).problems)
    assert "there is no process “nowhere”" in said
    assert "there is no playbook “nope”" in said
    assert "a duration of zero" in said


def test_a_playbook_declared_twice_is_checked_in_both_files(site: Path) -> None:
    text = PLAYBOOK.replace(": aaa", ": aaa\ndepends_on: nope")
    for name in ("aaa", "bbb"):
        (site / f"playbooks/{name}.yaml").write_text(text, encoding="utf-8")
    found = [p for p in lint_paths([Path("playbooks")], None).problems if "“nope”" in p.message]
    assert [p.file for p in found] == ["playbooks/aaa.yaml", "playbooks/bbb.yaml"]


def test_a_program_reads_the_same(site: Path) -> None:
    code, output = run("playbooks", "--format", "json")
    data = json.loads(output)
    assert code == 1
    assert data["files"] == ["playbooks/aaa.yaml"]
    assert [(p["line"], p["column"], p["text"]) for p in data["problems"]] == [
        (6, 8, "stage: resrvation"),
        (10, 11, "  within: 0s"),
    ]
    assert set(data["problems"][0]) == {"file", "line", "column", "text", "message", "fix"}


def test_sound_files_exit_with_0(site: Path) -> None:
    text = PLAYBOOK.replace("resrvation", "picking").replace("0s", "2h")
    (site / "playbooks/aaa.yaml").write_text(text, encoding="utf-8")
    assert run("playbooks") == (0, "1 file, no problems\n")


def test_what_is_shipped_is_clean() -> None:
    code, output = run()
    assert (code, output.rpartition(",")[2]) == (0, " no problems\n")


def test_without_a_path_what_the_configuration_names_is_linted(site: Path) -> None:
    (site / "ordertrace.yaml").write_text("playbooks: playbooks\nmappings: wms.yaml\n", encoding="utf-8")
    (site / "wms.yaml").write_text("mapping: wms\nrulez: []\n", encoding="utf-8")
    code, output = run(config=site / "ordertrace.yaml")
    assert code == 1
    assert "resrvation" in output
    assert "“rulez” is not a field" in output
    assert "3 files" in output


def test_a_path_that_is_not_there_is_wrong_usage() -> None:
    code, output = run("nowhere")
    assert code == 2
    assert "nowhere" in output


def test_a_file_of_no_kind_is_told(site: Path) -> None:
    (site / "x.yaml").write_text("hello: 1\n", encoding="utf-8")
    (problem,) = lint_paths([Path("x.yaml")], None).problems
    assert (problem.line, problem.text) == (1, "hello: 1")
    assert "begin with “playbook: name”" in problem.fix


def test_mistakes_of_configured_files_are_not_told_when_others_are_linted(site: Path) -> None:
    (site / "ordertrace.yaml").write_text("playbooks: playbooks\n", encoding="utf-8")
    sound = (
        PLAYBOOK.replace("resrvation", "picking")
        .replace("0s", "2h")
        .replace(": aaa", ": bbb\ndepends_on: aaa")
    )
    (site / "bbb.yaml").write_text(sound, encoding="utf-8")
    assert run("bbb.yaml", config=site / "ordertrace.yaml")[0] == 0


def test_carets_stand_under_wide_characters_and_nothing_moves_the_cursor() -> None:
    problem = Problem("f", 3, "超时: \x1b[31m时限", "wrong", "", 5, 7)
    assert show(problem) == "f:3:5: wrong\n  3 | 超时: �[31m时限\n    |       ^^^^^^^^^"


def test_a_very_long_line_is_cut_around_the_mistake() -> None:
    problem = Problem("f", 1, "x" * 5000 + "HERE" + "y" * 5000, "wrong", "", 5001, 4)
    _, line, carets = show(problem).splitlines()
    assert len(line) < 200
    assert line[carets.index("^") : carets.rindex("^") + 1] == "HERE"


MAPPING = """\
mapping: carrier
rules:
  - name: collected
    when: {source: carrier.log}
    set: {event.action: carrier.colected}
  - name: scans
    events:
      - set: {event.action: shipment.colected}
      - set: {event.action: "scan.{kind}"}
  - name: never
    when: {source: other.log}
    set: {event.action: wms.packed}
"""
PROCESS_OF_MINE = """\
process: carriage
title: {en: Carriage, zh: 运输}
stages:
  - {id: ride, title: {en: Ride, zh: 运输}, starts: wms.packed, ends: delivery.signed}
ends: delivery.signed
emits: {carrier.colected: carrier, shipment.colected: carrier}
"""


def test_an_event_of_a_mapping_that_nothing_waits_for_is_told_by_lint_alone(site: Path) -> None:
    path = site / "carrier.yaml"
    path.write_text(MAPPING, encoding="utf-8")
    found = lint_paths([path], None).problems
    assert [(p.line, p.column, p.message.rpartition(" ")[2]) for p in found[:2]] == [
        (5, 25, "“carrier.colected”"),
        (8, 29, "“shipment.colected”"),
    ]
    assert "did you mean “shipment.collected”?" in found[1].fix
    assert "“emits” of the process" in found[0].fix
    assert set(load_mappings([path]).sets) == {"carrier"}


def test_an_event_that_a_process_of_the_site_declares_may_be_mapped(site: Path) -> None:
    path, process = site / "carrier.yaml", site / "carriage.yaml"
    path.write_text(MAPPING, encoding="utf-8")
    process.write_text(PROCESS_OF_MINE, encoding="utf-8")
    config = site / "ordertrace.yaml"
    config.write_text("processes: [carriage.yaml]\n", encoding="utf-8")
    for found in (lint_paths([path, process], None), lint_paths([path], load_settings(config, {}))):
        assert [p.line for p in found.problems] == [10]


def test_rules_below_one_that_takes_every_record_are_told(site: Path) -> None:
    path = site / "carrier.yaml"
    path.write_text(MAPPING, encoding="utf-8")
    last = lint_paths([path], None).problems[-1]
    assert (last.line, last.text.strip()) == (10, "- name: never")
    assert "the rule on line 6 has no “when”" in last.message
    rule = "  - name: {}\n    set: {{event.action: wms.packed}}\n"
    path.write_text("mapping: m\nrules:\n" + rule.format("alone"), encoding="utf-8")
    assert lint_paths([path], None).problems == ()


def test_a_mapping_of_any_shape_is_linted_to_its_end(site: Path) -> None:
    path = site / "x.yaml"
    for text in ("rules: 1", "rules: [1, {set: 2, events: 3}, {set: {event.action: [x]}}]", "mapping: x"):
        path.write_text(text, encoding="utf-8")
        assert lint_paths([path], None).problems


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "examples").rglob("*mapping*.yaml")))
def test_the_mappings_of_the_examples_are_clean(path: Path) -> None:
    assert lint_paths([path], None).problems == ()


def test_a_directory_without_any_yaml_is_a_problem(tmp_path: Path):
    (tmp_path / "playbook.yml.txt").write_text("playbook: x\n")
    [problem] = lint_paths([tmp_path], None).problems
    assert (problem.file, problem.message) == (
        str(tmp_path),
        "no *.yaml or *.yml file lies in this directory",
    )
