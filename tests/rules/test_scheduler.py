"""The schedule survives what its ticks raise; the lease lets one worker tick and is taken over from a dead one."""

import threading

from ordertrace_rules.engine import TickReport
from ordertrace_rules.scheduler import LEASE, Lease, Scheduler
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


def test_slices_are_dealt_to_all_who_joined_and_those_of_a_dead_one_to_the_others():
    store, clock = MemoryStore(), Seconds()
    one, two, three = (Lease(store, 10, clock, slices=5) for _ in range(3))
    assert one.hold()
    assert one.own == {0, 1, 2, 3, 4}
    for _ in range(2):
        for lease in (one, two, three):
            assert lease.hold()
    assert (one.own, two.own, three.own) == ({0, 3}, {1, 4}, {2})
    clock.value = 10  # two has said nothing since
    one.hold(), three.hold()
    clock.value = 19
    one.hold(), three.hold()
    assert (one.own, three.own) == ({0, 2, 4}, {1, 3})
    one.release()
    three.hold()
    assert three.own == {0, 1, 2, 3, 4}


def test_who_divides_otherwise_than_the_first_waits():
    store, clock = MemoryStore(), Seconds()
    exclusive, divided = Lease(store, 10, clock), Lease(store, 10, clock, slices=4)
    assert exclusive.hold()
    assert not divided.hold()
    exclusive.release()
    assert divided.hold()
    assert divided.own == {0, 1, 2, 3}


def test_a_lease_of_an_earlier_form_is_free():
    store = MemoryStore()
    store.put_checkpoint(LEASE, "0f3a 17", None)
    assert Lease(store, 10).hold()
