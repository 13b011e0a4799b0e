"""Whatever the order of accepts, ticks, restarts and answers: nothing that was accepted is lost."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.memory_store import MemoryAlertStore
from ordertrace_alerting.pipeline import Pipeline
from ordertrace_alerting.vocabulary import (
    Delivery,
    Message,
    Notification,
    Ok,
    Permanent,
    Result,
    RetryAfter,
    Signal,
)

NS = 1_000_000_000
KINDS = ("opened", "grown", "acknowledged", "resolved", "reopened", "withdrawn")

steps = st.lists(
    st.one_of(
        st.tuples(st.just("accept"), st.integers(0, 2), st.integers(1, 6), st.sampled_from(["a", "b"])),
        st.tuples(st.just("tick"), st.integers(0, 1)),
        st.tuples(st.just("wait"), st.integers(1, 900)),
        st.tuples(
            st.just("answer"), st.sampled_from([RetryAfter(None), RetryAfter(50), Permanent("no"), Ok()])
        ),
    ),
    max_size=40,
)
group_by = st.sampled_from([["incident"], ["owner"], [], ["incident", "owner"]])


class Target:
    """Answers with what it was told last, once."""

    limit = None

    def __init__(self) -> None:
        self.answer: Result = Ok()
        self.sent: list[Delivery] = []

    def render(self, notification: Notification) -> tuple[Message, ...]:
        half = (len(notification.signals) + 1) // 2
        parts = (notification.signals[:half], notification.signals[half:])
        return tuple(Message(" ".join(s.id for s in part), part) for part in parts if part)

    def send(self, delivery: Delivery, now: int) -> Result:
        self.sent.append(delivery)
        answer, self.answer = self.answer, Ok()
        return answer


@settings(max_examples=150, deadline=None)
@given(steps=steps, group_by=group_by)
def test_each_accepted_signal_is_in_a_delivery_or_a_later_one_of_its_incident_is(
    steps: list[Any], group_by: list[str]
) -> None:
    config = alerting_config({"route": {"group_by": group_by, "repeat_interval": "52w"}})
    store, target, now = MemoryAlertStore(), Target(), 0
    workers = [
        Pipeline(config, store, {"terminal": target}, lambda: now, random=lambda: 0.5, patience=10)
        for _ in range(2)
    ]
    accepted: dict[str, Signal] = {}
    for step in steps:
        if step[0] == "accept":
            _, incident, number, owner = step
            signal = _signal(f"inc-{incident}", number, owner)
            assert workers[0].accept(signal) is (signal.id not in accepted)
            accepted.setdefault(signal.id, signal)
        elif step[0] == "tick":
            workers[step[1]].tick()
        elif step[0] == "wait":
            now += step[1] * NS
        else:
            target.answer = step[1]
    target.answer = Ok()
    end = now + 86_400 * NS
    while (due := store.next_due()) is not None and due <= end:
        now = max(now, due)
        workers[0].tick()
    told = {signal_id for delivery in store.deliveries(limit=10_000) for signal_id in delivery.signals}
    for signal in accepted.values():
        later = [
            s.id for s in accepted.values() if s.incident == signal.incident and s.number >= signal.number
        ]
        assert told.intersection(later), f"{signal.id} was lost"
    assert told <= set(accepted)
    assert store.counts()["pending"] == 0
    keys = {delivery.key: delivery.body for delivery in target.sent}
    assert all(keys[delivery.key] == delivery.body for delivery in target.sent)


def _signal(incident: str, number: int, owner: str) -> Signal:
    kind = KINDS[number - 1]
    status = "resolved" if kind in ("resolved", "withdrawn") else "firing"
    return Signal(
        f"{incident}:{number}", incident, number, kind, status, 0, {"owner": owner}, {"en": "t"}, {}
    )
