"""Cohorts out of files: what is drawn before records are read is what would have been drawn after."""

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ordertrace_rules.cli.main import ordertrace
from ordertrace_rules.cohort_files import drawn_from
from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.diagnosis.cohort import group, sample
from ordertrace_rules.intake.files import read_events

TIME = "2026-03-01T08:00:00Z"
IDS = ("SO-1", "SO-2", " SO-3 ", "SO “4”", 'SO"5', "SO\\6", "null", "", 7, ["SO-8"], "SO-9\ud7ff", None)
TRACES = ("t1", "t2", "t3", "", None)


def nested(name: str, value: object) -> dict[str, object]:
    return {name: {"id": value}}


def dotted(name: str, value: object) -> dict[str, object]:
    return {f"{name}.id": value}


def deeper(name: str, value: object) -> dict[str, object]:
    return {name: {"refs": {"id": "decoy"}, "id": value}}


def quoted(name: str, value: object) -> dict[str, object]:
    return {"message": json.dumps({f"{name}.id": "decoy", name: {"id": "decoy"}}), **dotted(name, value)}


FORMS = st.sampled_from((nested, dotted, deeper, quoted))
RECORDS = st.builds(
    lambda order, trace, form, other: {**form("order", order), **other("trace", trace)},
    *(st.sampled_from(IDS), st.sampled_from(TRACES), FORMS, FORMS),
)


def written(path: Path, records: list[dict[str, object]]) -> Path:
    lines = [
        json.dumps({"@timestamp": TIME, "service.name": "s", **r, "event.id": str(n)})
        for n, r in enumerate(records)
    ]
    path.write_text("".join(line + "\n" for line in lines))
    return path


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(RECORDS, max_size=20), st.integers(1, 6))
def test_the_cases_drawn_first_are_those_that_would_be_drawn_last(
    tmp_path: Path, records: list[dict[str, object]], most: int
):
    path = written(tmp_path / "records.jsonl", records)
    cases = group(read.event for read in read_events([path]))
    drawn = drawn_from(path, most, print)
    assert sorted(drawn.cases, key=lambda c: c.subject) == sample(cases, most)
    assert drawn.of == len(cases)


def test_subjects_with_many_records_are_drawn_in_smaller_number(tmp_path: Path, monkeypatch):
    path = written(tmp_path / "records.jsonl", [{"order.id": f"SO-{n % 50}"} for n in range(500)])
    monkeypatch.setattr(parameters, "MAX_RECORDS", 205)
    monkeypatch.setattr(parameters, "LEAST_SUBJECTS", 7)
    drawn = drawn_from(path, 50, print)
    assert (len(drawn.cases), drawn.of) == (20, 50)
    assert all(len(case.events) == 10 for case in drawn.cases)
    monkeypatch.setattr(parameters, "LEAST_SUBJECTS", 30)
    assert len(drawn_from(path, 50, print).cases) == 30


@pytest.mark.parametrize("output", ["text", "json"])
def test_the_result_states_what_was_left_out(tmp_path: Path, monkeypatch, output: str):
    monkeypatch.setattr(parameters, "MAX_HEALTHY", 20)
    healthy = written(tmp_path / "healthy.jsonl", [{"order.id": f"SO-{n}"} for n in range(60)])
    affected = tmp_path / "affected.jsonl.gz"
    affected.write_bytes(gzip.compress(written(tmp_path / "a", [{"order.id": "SO-x"}]).read_bytes()))
    arguments = ["contrast", "--healthy", str(healthy), "--affected", str(affected), "--format", output]
    run = CliRunner().invoke(ordertrace, arguments)
    assert run.exit_code == 0, run.output
    said = "Looked at 20 of 60 healthy subjects, drawn by a hash of their id."
    assert said in run.stderr
    if output == "json":
        document = json.loads(run.stdout)
        assert (document["sampled"], document["affected"], document["healthy"]) == (said, 1, 20)


def test_records_that_name_nothing_and_lines_that_are_none_are_counted(tmp_path: Path):
    path = written(tmp_path / "records.jsonl", [{"order.id": "SO-1"}, {"message": "x"}])
    with path.open("a") as file:
        file.write("no json\n[1]\n")
    problems: list[str] = []
    drawn = drawn_from(path, 5, lambda problem: problems.append(problem.reason))
    assert (drawn.alone, sorted(problems)) == (1, ["not_an_object", "not_json"])
