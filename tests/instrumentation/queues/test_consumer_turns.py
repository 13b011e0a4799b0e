"""The loops of polling consumers: whose order is bound at each turn, and when a message counts as consumed."""

from collections.abc import Iterator
from typing import Any

import pytest

from ordertrace_instrumentation import order
from ordertrace_instrumentation.context import current_order_id
from ordertrace_instrumentation.queues.handling import handling
from ordertrace_instrumentation.queues.message import Message
from ordertrace_instrumentation.queues.turns import Batch, Turns


def handle(number: int) -> Any:
    return handling(lambda: Message("orders", f"M-{number}", body={"order_id": f"SO-{number}"}))


@pytest.fixture
def turns(shipped: Any) -> Iterator[Turns]:
    made = Turns(handle)
    yield made
    made.leave()


def consumed(shipped: Any) -> list[str]:
    return [r["order.id"] for r in shipped() if r.get("event.action") == "message.consumed"]


def failed(shipped: Any) -> list[str]:
    return [r["order.id"] for r in shipped() if r.get("event.action") == "message.failed"]


def test_a_batch_is_the_list_that_it_was(turns: Turns) -> None:
    batch = Batch([1, 2, 3], turns)
    assert batch == [1, 2, 3] and len(batch) == 3 and batch[-1] == 3 and isinstance(batch, list)


def test_each_order_of_a_batch_is_bound_for_its_turn(turns: Turns, shipped: Any) -> None:
    assert [current_order_id() for _ in Batch([1, 2, 3], turns)] == ["SO-1", "SO-2", "SO-3"]
    assert current_order_id() == ""


def test_a_batch_is_consumed_when_the_loop_asks_for_more(turns: Turns, shipped: Any) -> None:
    copied = list(Batch([1, 2], turns))
    assert copied == [1, 2] and consumed(shipped) == [], "copied is not yet worked on"
    turns.ask()
    assert consumed(shipped) == ["SO-1", "SO-2"]


def test_of_a_loop_that_was_left_only_a_commit_says_that_its_last_message_is_done(
    turns: Turns, shipped: Any
) -> None:
    for record in Batch([1, 2], turns):
        if record == 2:
            break
    assert current_order_id() == ""
    turns.commit()
    assert sorted(consumed(shipped)) == ["SO-1", "SO-2"]


def test_a_loop_that_an_exception_left_does_not_say_that_its_message_is_consumed(
    turns: Turns, shipped: Any
) -> None:
    with pytest.raises(ValueError):
        for _ in Batch([1, 2], turns):
            raise ValueError
    turns.ask()
    assert consumed(shipped) == failed(shipped) == []


def test_a_consumer_that_is_closed_while_an_exception_passes_has_failed(turns: Turns, shipped: Any) -> None:
    turns.take(1)
    with pytest.raises(ValueError):
        try:
            raise ValueError("no stock")
        finally:
            turns.ask()
    assert failed(shipped) == ["SO-1"] and consumed(shipped) == []


def test_an_exception_of_before_the_turn_is_none_of_it(turns: Turns, shipped: Any) -> None:
    try:
        raise ConnectionError("the run before")
    except ConnectionError:
        turns.take(1)
        turns.ask()
    assert consumed(shipped) == ["SO-1"]


def test_an_order_that_was_bound_around_one_turn_does_not_come_back(turns: Turns) -> None:
    with order("SO-outer"):
        turns.take(1)
        assert current_order_id() == "SO-1"
    turns.ask()
    assert current_order_id() == ""


def test_a_commit_in_the_middle_of_a_turn_says_so_and_keeps_its_order(turns: Turns, shipped: Any) -> None:
    turns.take(1)
    turns.commit()
    assert consumed(shipped) == ["SO-1"] and current_order_id() == "SO-1"
    turns.ask()
    assert consumed(shipped) == ["SO-1"]
