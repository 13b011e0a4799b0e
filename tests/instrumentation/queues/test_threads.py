"""Threads and executors work on the order of those who gave them the work, and on no other."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ordertrace_instrumentation import order, stage
from ordertrace_instrumentation.context import current_order_id, current_stage
from ordertrace_instrumentation.queues import threads


@pytest.fixture(autouse=True)
def instrumented() -> Iterator[None]:
    threads.instrument()
    yield
    threads.uninstrument()


def in_thread(daemon: bool = False, carry: bool = False) -> str:
    seen: list[str] = []

    def look() -> None:
        seen.append(current_order_id())

    thread = threading.Thread(target=threads.in_this_order(look) if carry else look, daemon=daemon)
    thread.start()
    thread.join()
    return seen[0]


def test_a_thread_works_on_the_order_that_started_it() -> None:
    with order("SO-1"):
        assert in_thread() == "SO-1"
    assert in_thread() == ""


def test_a_threads_own_run_method_is_followed_too() -> None:
    class Worker(threading.Thread):
        seen = ""

        def run(self) -> None:
            self.seen = current_order_id() + "/" + current_stage()

    with order("SO-1"), stage("reservation"):
        worker = Worker()
        worker.start()
    worker.join()
    assert worker.seen == "SO-1/reservation"
    assert "run" not in vars(worker)


def test_a_daemon_thread_outlives_the_order_and_gets_none_but_on_request() -> None:
    with order("SO-1"):
        assert in_thread(daemon=True) == ""
        assert in_thread(daemon=True, carry=True) == "SO-1"


def test_an_executors_thread_serves_each_order_in_turn() -> None:
    with ThreadPoolExecutor(1) as executor:
        with order("SO-1"):
            first = executor.submit(current_order_id)
        with order("SO-2"):
            second = list(executor.map(lambda _: current_order_id(), range(2)))
        nobody = executor.submit(current_order_id)
    assert (first.result(), second, nobody.result()) == ("SO-1", ["SO-2", "SO-2"], "")


def test_run_in_executor_works_on_the_order_of_its_task() -> None:
    async def work(order_id: str) -> str:
        async with order(order_id):
            return await asyncio.get_running_loop().run_in_executor(None, current_order_id)

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*(work(f"SO-{number}") for number in range(5)))

    assert asyncio.run(all_of_them()) == [f"SO-{number}" for number in range(5)]


def test_one_function_may_be_carried_into_several_threads_at_once() -> None:
    with order("SO-1"):
        carried = threads.in_this_order(current_order_id)
    threads.uninstrument()
    with ThreadPoolExecutor(4) as executor:
        assert {executor.submit(carried).result() for _ in range(50)} == {"SO-1"}
        assert {executor.submit(current_order_id).result() for _ in range(50)} == {""}


def test_taken_back_threads_are_pythons_own() -> None:
    threads.instrument()
    threads.uninstrument()
    assert threading.Thread.start.__module__ == "threading"
    with order("SO-1"):
        assert in_thread() == ""
