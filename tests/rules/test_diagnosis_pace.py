"""Log records without spans tell which service is slow, and chance accuses nobody."""

import random
from collections.abc import Callable, Sequence

import pytest

from ordertrace_rules.diagnosis.cohort import Case
from ordertrace_rules.diagnosis.diagnose import diagnose
from ordertrace_rules.event import Event
from ordertrace_rules.times import NS
from ordertrace_rules.vocabulary import Diagnosis

START = 1_767_225_600 * NS
FLOW = (
    ("storefront", "order.placed"),
    ("payment", "payment.captured"),
    ("inventory", "inventory.reserved"),
    ("wms", "wms.received"),
    ("wms", "wms.picked"),
)
Story = Callable[[random.Random], Sequence[Event]]


def record(
    at: float,
    service: str,
    action: str = "",
    took: float | None = None,
    message: str = "",
    failed: bool = False,
) -> Event:
    """A log record `at` seconds, which says that it took so many."""
    instant = START + int(at * NS)
    return Event(
        id=f"{service}-{action}-{instant}",
        timestamp=instant,
        ingested=instant,
        service=service,
        action=action,
        message=message,
        outcome="failure" if failed else "success",
        duration=None if took is None else int(took * NS),
    )


def flow(slow: str = "", by: float = 0, took: float = 1) -> Story:
    """One record a service about ten seconds apart; `slow` is waited for longer, or says that it took longer."""

    def tell(chance: random.Random) -> Sequence[Event]:
        at = chance.random() * 80_000
        events: list[Event] = []
        for service, action in FLOW:
            at += chance.expovariate(0.1) + (by if service == slow else 0)
            own = chance.gammavariate(4, 0.005) * (took if service == slow else 1)
            events.append(record(at, service, action, own))
        return events

    return tell


def free_text(chance: random.Random, slow: float = 0) -> Sequence[Event]:
    """Lines that name no action; now and then one that few others have."""
    at = chance.random() * 80_000
    events: list[Event] = []
    for service in ("storefront", "payment", "inventory"):
        at += chance.expovariate(0.1) + (slow if service == "payment" else 0)
        rare = f"{chance.choice('abcdefghijklmnop') * 3} came by and said {chance.choice('qrstuvw') * 4}"
        usual = f"{service} is done in {chance.randrange(900)} ms"
        events.append(record(at, service, message=rare if chance.random() < 0.3 else usual))
    return events


def parallel(chance: random.Random) -> Sequence[Event]:
    """Services that speak at the same time, in any order."""
    at = chance.random() * 80_000
    told = [(at, "storefront", "order.placed")]
    for service in ("payment", "inventory", "wms"):
        told += [
            (at + chance.gammavariate(2, 20), service, f"{service}.{verb}") for verb in ("begun", "done")
        ]
    return [record(*one) for one in sorted(told)]


def compare(affected: Story, healthy: Story, count: int = 20, baseline: int = 60, seed: int = 7) -> Diagnosis:
    chance = random.Random(seed)

    def cases(name: str, story: Story, number: int) -> list[Case]:
        return [Case(f"{name}{n}", tuple(story(chance))) for n in range(number)]

    return diagnose(cases("a", affected, count), cases("h", healthy, baseline))


@pytest.mark.parametrize(("count", "baseline"), [(60, 200), (20, 60), (8, 20)])
@pytest.mark.parametrize("slow", ["payment", "inventory"])
def test_a_service_that_is_waited_for_is_accused_and_not_cleared(
    slow: str, count: int, baseline: int
) -> None:
    diagnosis = compare(flow(slow, by=200), flow(), count, baseline)
    assert diagnosis.cause is not None
    assert diagnosis.cause.service == slow
    first = diagnosis.suspects[0]
    assert (first.kind, first.evidence.affected.k) == ("latency", count)
    assert "is awaited after" in first.evidence.what["en"]
    assert [s.service for s in diagnosis.suspects if s.above_noise] == [slow]
    assert slow not in {c.service for c in diagnosis.cleared}
    if count > 10:
        assert "wms" in {c.service for c in diagnosis.cleared}


def test_a_service_whose_records_say_that_they_took_long_is_accused() -> None:
    diagnosis = compare(flow("payment", took=30), flow())
    assert diagnosis.cause is not None
    assert diagnosis.cause.service == "payment"
    assert 'itself says that "payment.captured" took long' in diagnosis.cause.summary["en"]
    assert "payment" not in {c.service for c in diagnosis.cleared}


def test_free_text_tells_who_is_waited_for_too() -> None:
    def slow(chance: random.Random) -> Sequence[Event]:
        return free_text(chance, 200)

    diagnosis = compare(slow, free_text, 40, 120)
    assert diagnosis.cause is not None
    assert diagnosis.cause.service == "payment"


def test_two_orders_prove_too_little() -> None:
    diagnosis = compare(flow("payment", by=200), flow(), count=1)
    assert diagnosis.cause is None


def test_a_caller_that_is_slow_for_its_callee_is_not_the_cause() -> None:
    def request(slow: float) -> Story:
        def tell(chance: random.Random) -> Sequence[Event]:
            at, took = chance.random() * 80_000, 1 + chance.random() + slow
            return [
                record(at, "apigateway", "order.asked"),
                record(at + took, "payment", "payment.captured", took),
                record(at + took + 0.1, "apigateway", "order.placed", took + 0.1),
            ]

        return tell

    diagnosis = compare(request(60), request(0))
    assert diagnosis.cause is not None
    assert diagnosis.cause.service == "payment"


def test_a_delay_does_not_take_the_place_of_a_clearer_failure_after_it() -> None:
    def failing(chance: random.Random) -> Sequence[Event]:
        *events, _, _ = flow("payment", by=200 if chance.random() < 0.9 else 0)(chance)
        failed = record(
            events[-1].timestamp / NS - START / NS, "inventory", "inventory.reserve_failed", failed=True
        )
        return [*events[:-1], failed]

    diagnosis = compare(failing, flow(), 60, 200)
    assert diagnosis.cause is not None
    assert diagnosis.cause.service == "inventory"
    assert "payment" in {s.service for s in diagnosis.suspects if s.above_noise}


@pytest.mark.parametrize("story", [flow(), free_text, parallel], ids=["flow", "free_text", "parallel"])
@pytest.mark.parametrize(("count", "baseline"), [(5, 6), (20, 12), (30, 60), (60, 20)])
def test_chance_accuses_nobody(story: Story, count: int, baseline: int) -> None:
    for seed in range(12):
        diagnosis = compare(story, story, count, baseline, seed)
        assert diagnosis.verdict == "no_localised_cause", diagnosis.suspects[0]
