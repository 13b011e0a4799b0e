"""Which order a record belongs to."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest

from ordertrace_instrumentation import current_order_id, event, link, order, order_trace_id, stage


def test_a_record_carries_the_order_of_its_context(shipped: Any) -> None:
    with order("SO-1", channel="app"), stage("reservation"):
        event("inventory.reserved", outcome="success", sku="A-1", amount=12.5, currency="CNY")
    record = shipped.last()
    assert record["order.id"] == "SO-1"
    assert record["order.trace_id"] == record["trace.id"] == order_trace_id("SO-1")
    assert record["labels.channel"] == "app" and record["labels.sku"] == "A-1"
    assert record["order.stage"] == "reservation"
    assert (record["order.amount"], record["order.currency"]) == (12.5, "CNY")
    assert record["event.kind"] == "event" and record["event.outcome"] == "success"


def test_nested_orders_end_in_the_outer_one(shipped: Any) -> None:
    with order("SO-1", channel="app"):
        with order("SO-2"):
            event("a.b")
            assert "labels.channel" not in shipped.last()
        event("a.b")
    event("a.b")
    assert [r.get("order.id") for r in shipped()] == ["SO-2", "SO-1", None]


def test_an_order_id_that_stands_for_none_binds_nobody_and_not_the_outer_order() -> None:
    with order("SO-1"):
        for absent in (None, "", " ", "null", "None", "x" * 300):
            with order(absent):
                assert current_order_id() == ""
        assert current_order_id() == "SO-1"


def test_an_exception_passes_through_and_leaves_the_outer_order() -> None:
    with pytest.raises(KeyError), order("SO-1"):
        raise KeyError("business")
    assert current_order_id() == ""


def test_what_is_linked_inside_is_carried_by_later_records_of_the_order_alone(shipped: Any) -> None:
    def helper() -> None:
        with order("SO-1"):
            link(payment_id="P-7")

    with order("SO-1"):
        helper()
        taught = shipped.last()
        event("payment.captured")
        with order("SO-2"):
            event("payment.captured")
    assert taught["order.id"] == "SO-1" and taught["order.refs.payment_id"] == "P-7"
    assert [r.get("order.refs.payment_id") for r in shipped()] == ["P-7", "P-7", None]


def test_a_link_without_an_order_still_teaches_that_two_refs_belong_together(shipped: Any) -> None:
    link(payment_id="P-7", reservation_id="R-3")
    record = shipped.last()
    assert "order.id" not in record
    assert (record["order.refs.payment_id"], record["order.refs.reservation_id"]) == ("P-7", "R-3")


def test_threads_begin_without_an_order_unless_the_context_is_handed_on() -> None:
    seen: dict[str, str] = {}
    with order("SO-1"):
        bare = threading.Thread(target=lambda: seen.update(bare=current_order_id()))
        context = copy_context()
        handed = threading.Thread(target=lambda: context.run(lambda: seen.update(handed=current_order_id())))
        for thread in (bare, handed):
            thread.start()
            thread.join()
    assert seen == {"bare": "", "handed": "SO-1"}


def test_threads_do_not_see_each_others_orders() -> None:
    barrier = threading.Barrier(8)

    def work(number: int) -> tuple[str, str]:
        with order(f"SO-{number}"):
            barrier.wait()
            seen = current_order_id()
        return f"SO-{number}", seen

    with ThreadPoolExecutor(8) as pool:
        assert all(own == seen for own, seen in pool.map(work, range(8)))


def test_tasks_keep_their_orders_apart_and_to_thread_keeps_its_own() -> None:
    async def work(number: int) -> list[str]:
        async with order(f"SO-{number}"):
            await asyncio.sleep(0)
            return [current_order_id(), await asyncio.to_thread(current_order_id)]

    async def all_of_them() -> list[list[str]]:
        return await asyncio.gather(*(work(n) for n in range(20)))

    assert asyncio.run(all_of_them()) == [[f"SO-{n}"] * 2 for n in range(20)]


def test_a_decorator_finds_the_order_in_the_calls_arguments_and_keeps_result_and_name() -> None:
    @order(lambda job: job["order_id"])
    def handle(job: dict[str, str]) -> str:
        return current_order_id()

    assert handle({"order_id": "SO-5"}) == "SO-5"
    assert handle.__name__ == "handle"
    assert handle({}) == ""  # the finder raised: the call goes on without an order


def test_coroutine_functions_are_decorated_for_as_long_as_they_run() -> None:
    @order(lambda order_id: order_id)
    async def handle(order_id: str) -> str:
        await asyncio.sleep(0)
        return current_order_id()

    async def both() -> list[str]:
        return await asyncio.gather(handle("SO-1"), handle("SO-2"))

    assert asyncio.run(both()) == ["SO-1", "SO-2"]


def test_a_decorated_generator_holds_its_order_only_while_it_runs() -> None:
    closed: list[str] = []

    @order("SO-1")
    def numbers() -> Iterator[str]:
        try:
            got = yield current_order_id()
            yield f"{got}{current_order_id()}"
        finally:
            closed.append(current_order_id())

    generator: Any = numbers()
    assert next(generator) == "SO-1"
    assert current_order_id() == ""
    assert generator.send("sent ") == "sent SO-1"
    generator.close()
    assert closed == ["SO-1"] and current_order_id() == ""


def test_a_decorated_asynchronous_generator_holds_its_order_only_while_it_runs() -> None:
    @order("SO-1")
    async def items() -> AsyncIterator[str]:
        yield current_order_id()
        await asyncio.sleep(0)
        yield current_order_id()

    async def collect() -> list[tuple[str, str]]:
        return [(item, current_order_id()) async for item in items()]

    assert asyncio.run(collect()) == [("SO-1", ""), ("SO-1", "")]


def test_leaving_in_another_context_than_entered_does_not_raise() -> None:
    scope = order("SO-1")
    copy_context().run(scope.__enter__)
    scope.__exit__(None, None, None)
    assert current_order_id() == ""


def test_labels_and_order_ids_may_be_anything(shipped: Any) -> None:
    class Rude:
        def __str__(self) -> str:
            raise RuntimeError("no")

    with order(Rude(), odd=Rude(), broken="\ud800", number=7, flag=True, none=None):
        event("a.b", self=Rude(), action="x", nested={"a": [1]})
    with order(4711):
        event("a.b")
    first, second = shipped()
    assert "order.id" not in first
    assert "Rude" in first["labels.odd"] and first["labels.broken"] == "?"
    assert (first["labels.number"], first["labels.flag"]) == ("7", "true")
    assert first["labels.action"] == "x" and "labels.none" not in first
    assert second["order.id"] == "4711"
