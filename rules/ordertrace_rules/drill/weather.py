"""What becomes of records on their way: doubled, out of order, late, lost, and with clocks that are wrong."""

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules.drill.shop import SERVICES, Happening, Order
from ordertrace_rules.event import Event
from ordertrace_rules.intake.files import ReadEvent
from ordertrace_rules.times import MINUTE, NS, format_instant

TICK = 10 * NS  # arrivals fall on the ticks of the rules service
_Record = tuple[int, int, int, dict[str, object]]  # arrival, place, copy, the record


@dataclass(frozen=True, slots=True)
class Outage:
    """A service's records of [`start`, `end`), heartbeats among them, arrive at `until` and after, or never."""

    service: str
    start: int
    end: int
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Weather:
    """Shares of records, and times in nanoseconds."""

    doubled: float = 0.03
    late: float = 0.02
    late_by: int = 20 * MINUTE
    jitter: int = 20 * NS
    lost: float = 0.0
    clocks: Mapping[str, int] = field(default_factory=lambda: {"payment": 2 * NS, "carrier": -3 * NS})
    outages: tuple[Outage, ...] = ()


def arrivals(
    orders: Iterable[Order],
    background: Sequence[Happening],
    weather: Weather,
    span: tuple[int, int],
    heartbeat: int,
    chance: Random,
) -> Iterator[ReadEvent]:
    """The records of all services as they arrive, heartbeats from `span` on included.

    Each service is one instance, which numbers what it says without a hole; what is lost leaves one.
    """
    said: dict[str, list[tuple[int, int, Order | None, Happening]]] = {service: [] for service in SERVICES}
    place = 0
    for order in orders:
        for happening in order.happenings:
            said.setdefault(happening.service, []).append((happening.at, place, order, happening))
            place += 1
    for happening in background:
        said.setdefault(happening.service, []).append((happening.at, place, None, happening))
        place += 1
    for service, spoken in said.items():
        for at in range(span[0], span[1], heartbeat):
            spoken.append((at, place, None, Happening(at, ecs.HEARTBEAT, service)))
            place += 1
        spoken.sort(key=lambda each: each[:2])
    queue: list[_Record] = []
    for service, spoken in said.items():
        for sequence, (_, number, order, happening) in enumerate(spoken, start=1):
            if _is_lost(happening, weather, chance):
                continue
            record = _record(service, sequence, order, happening, weather.clocks.get(service, 0), heartbeat)
            for copy, arrived in enumerate(_arrives(happening, weather, chance)):
                heapq.heappush(queue, (arrived, number, copy, record))
    while queue:
        arrived, _, _, record = heapq.heappop(queue)
        document = {**record, ecs.EVENT_INGESTED: format_instant(arrived)}
        event = Event.from_document(document, received=arrived, source="drill")
        yield ReadEvent(event, has_ingested=True)


def _is_lost(happening: Happening, weather: Weather, chance: Random) -> bool:
    if (outage := _outage(happening, weather)) is not None and outage.until is None:
        return True
    return happening.action != ecs.HEARTBEAT and chance.random() < weather.lost


def _outage(happening: Happening, weather: Weather) -> Outage | None:
    of_service = (outage for outage in weather.outages if outage.service == happening.service)
    return next((outage for outage in of_service if outage.start <= happening.at < outage.end), None)


def _arrives(happening: Happening, weather: Weather, chance: Random) -> list[int]:
    """When, and when again."""
    delay = NS + chance.randrange(weather.jitter)
    if happening.action != ecs.HEARTBEAT and chance.random() < weather.late:
        delay += round(weather.late_by * chance.random())
    outage = _outage(happening, weather)
    held = outage.until if outage is not None and outage.until is not None else happening.at
    first = _on_a_tick(max(happening.at, held) + delay)
    if chance.random() >= weather.doubled:
        return [first]
    return [first, _on_a_tick(first + chance.randrange(weather.late_by))]


def _on_a_tick(instant: int) -> int:
    return math.ceil(instant / TICK) * TICK


def _record(
    service: str, sequence: int, order: Order | None, happening: Happening, offset: int, heartbeat: int
) -> dict[str, object]:
    record: dict[str, object] = {
        ecs.TIMESTAMP: format_instant(happening.at + offset),
        ecs.EVENT_ID: f"{service}-{sequence}",
        ecs.SERVICE_NAME: service,
        ecs.SERVICE_INSTANCE_ID: f"{service}-1",
        ecs.EVENT_SEQUENCE: sequence,
        ecs.EVENT_ACTION: happening.action,
    }
    if happening.action == ecs.HEARTBEAT:
        phase = "start" if sequence == 1 else "alive"
        return {
            **record,
            ecs.EVENT_KIND: "metric",
            ecs.HEARTBEAT_INTERVAL: heartbeat / NS,
            ecs.HEARTBEAT_PHASE: phase,
        }
    record[ecs.EVENT_OUTCOME] = "failure" if "fail" in happening.action else "success"
    if order is not None:
        record |= _identity(order, happening)
    return record


def _identity(order: Order, happening: Happening) -> dict[str, object]:
    """The ids by which that system knows the order, and what it knows of it."""
    refs = happening.refs
    known: dict[str, object] = {}
    for kind in refs:
        again = f"-{happening.copy}" if happening.copy > 1 and kind in ("payment_id", "refund_id") else ""
        value = f"{kind.partition('_')[0].upper()}-{order.number:05}{again}" if kind else order.id
        known[ecs.ORDER_REFS + kind if kind else ecs.ORDER_ID] = value
    if "" in refs:
        known |= {ecs.ORDER_AMOUNT: order.amount, ecs.ORDER_CURRENCY: "CNY"}
    return known | {ecs.LABELS + name: value for name, value in order.labels.items()}
