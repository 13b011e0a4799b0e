"""Feedback: one word of each person on the incident, counted by playbook."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from ordertrace_rules.cli.main import ordertrace
from ordertrace_rules.errors import OrdertraceError
from ordertrace_rules.feedback import checked_feedback, give_feedback, playbook_stats
from ordertrace_rules.settings import load_settings
from ordertrace_rules.stores.memory import MemoryStore, MemoryViews
from ordertrace_rules.stores.opening import open_store
from ordertrace_rules.vocabulary import Feedback, Incident

DAY = 86_400 * 10**9


def incident(number: int, *verdicts: str, playbook: str = "p", day: int = 0, **over: object) -> Incident:
    feedback = tuple(Feedback(v, f"person {n}", 0) for n, v in enumerate(verdicts))  # type: ignore[arg-type]
    begun = Incident(
        f"{playbook}-{number}", playbook, 1, "", number, "info", "open", "firm", day * DAY, day * DAY
    )
    return replace(begun, feedback=feedback, **over)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_many_people_at_once_lose_no_word_and_each_has_one(tmp_path: Path, kind: str) -> None:
    environ = {"ORDERTRACE_STORE": kind, "ORDERTRACE_SQLITE_PATH": str(tmp_path / "o.db")}
    opened = open_store(load_settings(environ=environ))
    opened.store.put_incident(incident(1), None)

    def speak(person: int) -> None:
        give_feedback(opened.store, "p-1", Feedback("not_a_problem", f"person {person}", 1))
        give_feedback(opened.store, "p-1", Feedback("right", f"person {person}", 2))

    people = [threading.Thread(target=speak, args=(n,)) for n in range(3)]
    for each in people:
        each.start()
    for each in people:
        each.join()
    kept = opened.store.incident("p-1").value.feedback
    assert sorted(each.by for each in kept) == ["person 0", "person 1", "person 2"]
    assert {each.verdict for each in kept} == {"right"}
    opened.close()


def test_the_latest_word_of_an_incident_counts_and_precision_is_of_the_judged() -> None:
    store = MemoryStore()
    for each in (
        incident(1, "right"),
        incident(2, "not_a_problem", "right"),
        incident(3, "right", "wrong_cause", state="resolved"),
        incident(4, "not_a_problem", state="withdrawn"),
        incident(5),
        incident(1, playbook="quiet"),
        incident(1, "right", playbook="old", day=-100),
    ):
        store.put_incident(each, None)
    stats = {each.playbook: each for each in playbook_stats(MemoryViews(store), (), since=-90 * DAY)}
    p = stats["p"]
    assert (p.fired, p.open, p.withdrawn) == (5, 3, 1)
    assert (p.right, p.wrong_cause, p.not_a_problem, p.judged, p.precision) == (2, 1, 1, 4, 0.5)
    assert stats["quiet"].precision is None
    assert "old" not in stats


def test_all_pages_of_incidents_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ordertrace_rules.stores.paging.WALK", 2)
    store = MemoryStore()
    for number in range(5):
        store.put_incident(incident(number, day=number), None)
    views = MemoryViews(store)
    assert playbook_stats(views, (), since=0)[0].fired == 5
    assert playbook_stats(views, (), since=2 * DAY)[0].fired == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"verdict": "wrong"}, "verdict: one of right, wrong_cause, not_a_problem"),
        ({"verdict": None}, "verdict"),
        ({"by": " "}, "by"),
        ({"by": 7}, "by"),
        ({"by": "x" * 101}, "by"),
        ({"by": "a\u202eb"}, "by"),
        ({"cause": "wms"}, "goes with wrong_cause"),
        ({"note": "n" * 1001}, "note"),
        ({"note": ["n"]}, "note"),
    ],
)
def test_what_is_no_feedback_is_refused_with_the_field(given: dict[str, object], said: str) -> None:
    with pytest.raises(OrdertraceError, match=said):
        checked_feedback(**{"verdict": "right", "by": "Li", "at": 0, **given})  # type: ignore[arg-type]


def test_the_command_line_takes_it_and_counts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    records = [
        {"@timestamp": "2026-03-01T10:01:00Z", "service.name": "payment", "event.action": "payment.captured",
         "order.id": "SO-1"},
        {"@timestamp": "2026-03-01T10:02:00Z", "service.name": "inventory",
         "event.action": "inventory.reserve_failed", "event.outcome": "failure", "order.id": "SO-1"},
    ]  # fmt: skip
    (tmp_path / "day.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))

    def run(*arguments: str):
        return CliRunner().invoke(ordertrace, arguments)

    run("ingest", "day.jsonl")
    run("incidents")
    said = run(
        *("incidents", "feedback", "paid_not_reserved-1", "wrong_cause"),
        *("--cause", "payment", "--by", "Li Wei"),
    )
    assert said.output == "paid_not_reserved-1 is wrong_cause, says Li Wei\n", said.output
    stats = json.loads(run("playbooks", "stats", "--days", "3650", "--format", "json").stdout)
    (counted,) = [each for each in stats["playbooks"] if each["playbook"] == "paid_not_reserved"]
    assert (counted["fired"], counted["wrong_cause"], counted["precision"]) == (1, 1, 0.0)
    assert "0% of 1" in run("playbooks", "stats").output
    listed = json.loads(run("incidents", "--state", "all", "--format", "json").stdout)["incidents"]
    (judged,) = [each for each in listed if each["id"] == "paid_not_reserved-1"]
    assert (judged["feedback"][0]["by"], judged["feedback"][0]["cause"]) == ("Li Wei", "payment")
    assert "there is no incident 'none-1'" in run("incidents", "feedback", "none-1", "right").output
