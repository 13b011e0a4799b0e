"""What people do about an incident is kept by every backend, beside what the tick writes."""

from dataclasses import replace

import pytest

from ordertrace_rules.actions.decisions import action_id, approve, decline
from ordertrace_rules.actions.review import reviews
from ordertrace_rules.actions.running import KEPT, note_running, running, strike_off
from ordertrace_rules.actions.targets import ActionRules
from ordertrace_rules.errors import Conflict
from ordertrace_rules.feedback import give_feedback, playbook_stats
from ordertrace_rules.stores.protocol import Store, Versioned, Views
from ordertrace_rules.vocabulary import Feedback, Incident, ProposedAction

REVIEW = ProposedAction("manual_review", {"en": "Look at each", "zh": "逐单审核"})
TICKET = ProposedAction("ticket", {"en": "Open a ticket", "zh": "提交工单"})
INCIDENT = Incident(
    *("p-1", "p", 1, "", 1, "info", "open", "firm", 10, 10), open_count=2, proposals=(REVIEW, TICKET)
)


def test_decisions_and_feedback_come_back_as_they_went_in(store: Store, views: Views) -> None:
    store.put_incident(INCIDENT, None)
    version = views.version()
    approve(store, "p-1", action_id(REVIEW), "李伟", 20, ActionRules())
    decline(store, "p-1", action_id(TICKET), "Wang", 21)
    kept = give_feedback(store, "p-1", Feedback("wrong_cause", "Li", 22, "payment", "备注"))
    assert store.incident("p-1").value == kept
    assert [(a.id, a.state, a.by, a.at, a.count) for a in kept.actions] == [
        (action_id(REVIEW), "done", "李伟", 20, 2),
        (action_id(TICKET), "declined", "Wang", 21, 0),
    ]
    assert [review.approval.by for review in reviews(store)] == ["李伟"]
    assert views.version() != version
    assert [(s.playbook, s.fired, s.wrong_cause) for s in playbook_stats(views, (), 0)] == [("p", 1, 1)]


def test_a_word_given_while_the_tick_writes_is_given_again_and_neither_is_lost(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put_incident(INCIDENT, None)
    read, ticks = store.incident, [1]

    def read_before_a_tick(incident: str) -> Versioned[Incident] | None:
        found = read(incident)
        if ticks and ticks.pop():
            store.put_incident(replace(found.value, open_count=3), found.version)
        return found

    monkeypatch.setattr(store, "incident", read_before_a_tick)
    kept = give_feedback(store, "p-1", Feedback("right", "Li", 22))
    assert (kept.open_count, len(kept.feedback)) == (3, 1)


def test_one_that_is_written_by_others_all_the_time_is_a_conflict_and_not_a_loss(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put_incident(INCIDENT, None)
    found = store.incident("p-1")
    store.put_incident(replace(found.value, open_count=3), found.version)
    monkeypatch.setattr(store, "incident", lambda _: found)
    with pytest.raises(Conflict):
        give_feedback(store, "p-1", Feedback("right", "Li", 22))


def test_the_list_of_what_is_under_way_keeps_what_was_noted_lately(store: Store) -> None:
    assert running(store) == {}
    note_running(store, "p-1", 0)
    note_running(store, "p-2", KEPT)
    strike_off(store, {"p-1", "p-2"}, KEPT + 1)
    assert running(store) == {"p-2": KEPT}
    strike_off(store, {"p-2"}, 2 * KEPT + 1)
    assert running(store) == {}
