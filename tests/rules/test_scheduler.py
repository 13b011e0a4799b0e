"""The schedule survives what its ticks raise; the lease lets one worker tick and is taken over from a dead one."""

import threading

from ordertrace_rules.engine import TickReport
from ordertrace_rules.scheduler import Lease, Scheduler
from ordertrace_rules.stores.memory import MemoryStore


class Seconds:
    def __init__(self) -> None:
        self.value = 0.0

    def __call__(self) -> float:
        return self.value


def test_only_one_of_two_holds_the_lease():
    store, clock = MemoryStore(), Seconds()
    one, two = Lease(store, 10, clock), Lease(store, 10, clock)
    assert [one.hold(), two.hold(), one.hold(), two.hold()] == [True, False, True, False]


def test_a_lease_that_stands_still_for_its_time_to_live_is_taken_over():
    store, clock = MemoryStore(), Seconds()
    dead, heir = Lease(store, 10, clock), Lease(store, 10, clock)
    assert dead.hold()
    assert not heir.hold()
    clock.value = 9.9
    assert not heir.hold()
    clock.value = 10
    assert heir.hold()
    assert not dead.hold()  # it was only slow: it has to wait now


def test_a_lease_that_is_renewed_is_never_taken_over():
    store, clock = MemoryStore(), Seconds()
    alive, waiting = Lease(store, 10, clock), Lease(store, 10, clock)
    for second in range(50):
        clock.value = second
        assert alive.hold()
        assert not waiting.hold()


def test_a_released_lease_is_free_at_once():
    store, clock = MemoryStore(), Seconds()
    one, two = Lease(store, 10, clock), Lease(store, 10, clock)
    one.hold()
    two.release()  # not its own: nothing happens
    assert not two.hold()
    one.release()
    assert two.hold()


def test_a_tick_that_raises_is_told_and_the_next_one_runs():
    calls = 0

    def tick() -> TickReport:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError("first")
        return TickReport(events=3, orphans=1, problems=("playbook x: broken",))

    scheduler = Scheduler(tick, None, 1)
    scheduler.run_once()
    assert scheduler.pulse.failures == 1
    assert scheduler.pulse.last_error == "ZeroDivisionError: first"
    scheduler.run_once()
    assert (scheduler.pulse.last_error, scheduler.pulse.events, scheduler.pulse.orphans) == ("", 3, 1)
    assert scheduler.pulse.problems == ("playbook x: broken",)
    assert scheduler.pulse.ticks == 2


def test_a_standby_does_not_tick():
    store, ticked = MemoryStore(), []
    assert Lease(store, 10).hold()
    scheduler = Scheduler(lambda: ticked.append(1) or TickReport(), Lease(store, 10), 1)
    scheduler.run_once()
    assert ticked == []
    assert not scheduler.pulse.leading


def test_stop_ends_the_thread_and_lets_go_of_the_lease():
    store, ticked = MemoryStore(), threading.Event()
    scheduler = Scheduler(lambda: ticked.set() or TickReport(), Lease(store, 10), 0.01)
    scheduler.start()
    assert ticked.wait(10)
    scheduler.stop()
    assert Lease(store, 10).hold()
