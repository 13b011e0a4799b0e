"""Faults of a shop, each with what has to be said of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from ordertrace_rules.drill.shop import Order
from ordertrace_rules.drill.weather import Outage, Weather
from ordertrace_rules.times import DAY, HOUR, MINUTE, parse_instant

START = parse_instant("2026-03-02T08:00:00Z")  # a Monday morning
Expects = Literal["firm", "unverified", "nothing"]
Harm = Callable[[Order, Random], Order]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`harm` befalls a `share` of the orders that `hits` takes and that reach `at` between `start` and `end`.

    `playbooks` are those by which a harmed order may be told, `cause` the service that they have to name
    ("" where no cause can be told from records), `innocent` those that people accuse.
    """

    name: str
    title: str
    playbooks: frozenset[str] = frozenset()
    cause: str = ""
    innocent: tuple[str, ...] = ()
    at: str = "payment.captured"
    share: float = 0.8
    start: int = START + 2 * HOUR
    end: int = START + 5 * HOUR
    hits: Callable[[Order], bool] = lambda order: True
    harm: Harm = lambda order, chance: order
    attribute: tuple[str, str] | None = None  # what the harmed have in common
    expects: Expects = "firm"
    weather: Weather = field(default_factory=Weather)
    orders: int = 400
    placing: int = 8 * HOUR  # from START on
    lasts: int = 3 * DAY
    returned: bool = False

    def harmed(self, order: Order, chance: Random) -> Order | None:
        """The order as the fault leaves it; None where it does not meet it."""
        reached = order.first(self.at)
        if reached is None or not self.start <= reached.at < self.end or not self.hits(order):
            return None
        return self.harm(order, chance) if chance.random() < self.share else None


def _reserve_fails(order: Order, chance: Random) -> Order:
    stuck = order.until("payment.captured")
    for attempt in range(1 + chance.randrange(3)):
        after = (20 + 40 * attempt) * 1_000_000_000
        stuck = stuck.then("payment.captured", after, "inventory.reserve_failed", "inventory", ("",))
    return stuck


def _stops_after(action: str) -> Harm:
    return lambda order, chance: order.until(action)


def _pays_twice(order: Order, chance: Random) -> Order:
    return order.then(
        "payment.captured",
        (1 + chance.randrange(9)) * MINUTE,
        "payment.captured",
        "payment",
        ("", "payment_id"),
        2,
    )


def _loses_its_stock(order: Order, chance: Random) -> Order:
    lost = order.until("inventory.reserved")
    return lost.then("inventory.reserved", MINUTE, "inventory.released", "inventory", ("", "reservation_id"))


def _is_short(order: Order, chance: Random) -> Order:
    stuck = order.until("wms.received")
    return stuck.then("wms.received", HOUR, "wms.shorted", "wms", ("shipment_id",))


def _is_refunded_twice(order: Order, chance: Random) -> Order:
    return order.then("refund.instructed", HOUR, "refund.instructed", "finance", ("rma_id", "refund_id"), 2)


def _is_sold_out(order: Order) -> bool:
    return order.labels["sku"] == "SKU-3"


OVERDUE = frozenset({"stage_overdue"})
RESERVATION = frozenset({"paid_not_reserved", "reserve_failed"})

_ALL: Sequence[Scenario] = (
    Scenario("calm", "Nothing is wrong", expects="nothing", share=0.0),
    Scenario(
        "inventory_contention",
        "Concurrent deductions fail while a promotion runs",
        RESERVATION,
        "inventory",
        ("wms",),
        harm=_reserve_fails,
    ),
    Scenario(
        "inventory_silent",
        "The inventory takes orders and never answers",
        RESERVATION,
        "inventory",
        ("wms",),
        harm=_stops_after("payment.captured"),
    ),
    Scenario(
        "one_sku_oversold",
        "One article cannot be reserved",
        RESERVATION,
        "inventory",
        ("wms",),
        share=1.0,
        end=START + 8 * HOUR,
        hits=_is_sold_out,
        harm=_reserve_fails,
        attribute=("sku", "SKU-3"),
    ),
    Scenario(
        "payment_stuck",
        "Payments are begun and neither captured nor refused",
        frozenset({"placed_not_paid"}),
        "payment",
        ("inventory",),
        at="order.placed",
        harm=_stops_after("order.placed"),
    ),
    Scenario(
        "wms_not_receiving",
        "The warehouse takes no orders in",
        OVERDUE | {"reserved_not_received"},
        "wms",
        ("inventory",),
        at="inventory.reserved",
        harm=_stops_after("inventory.reserved"),
    ),
    Scenario(
        "picked_not_packed",
        "The packing stations stand still",
        OVERDUE | {"picked_not_packed"},
        "wms",
        ("carrier",),
        at="wms.picked",
        harm=_stops_after("wms.picked"),
        end=START + 8 * HOUR,
    ),
    Scenario(
        "not_collected",
        "Labels are printed and the carrier does not come",
        frozenset({"packed_not_collected"}) | OVERDUE,
        "carrier",
        ("inventory",),
        at="shipment.handed_over",
        harm=_stops_after("shipment.handed_over"),
        start=START + 4 * HOUR,
        end=START + 14 * HOUR,
    ),
    Scenario(
        "never_delivered",
        "Parcels of one carrier are not delivered",
        frozenset({"delivered_not_signed", "carrier_silent"}) | OVERDUE,
        "carrier",
        ("wms",),
        at="shipment.collected",
        harm=_stops_after("shipment.collected"),
        hits=lambda order: order.labels["carrier"] == "parcelo",
        attribute=("carrier", "parcelo"),
        start=START + 4 * HOUR,
        end=START + 20 * HOUR,
        orders=200,
        lasts=10 * DAY,
    ),
    Scenario(
        "charged_twice",
        "A retried request takes the money again",
        frozenset({"captured_twice"}),
        harm=_pays_twice,
        share=0.3,
    ),
    Scenario(
        "reservations_expire",
        "A job gives the stock of living orders back",
        frozenset({"reserve_released_without_cancel"}),
        "inventory",
        ("wms",),
        at="inventory.reserved",
        harm=_loses_its_stock,
    ),
    Scenario(
        "books_are_wrong",
        "The picker finds less than was reserved, of one article",
        frozenset({"inventory_oversold"}),
        at="wms.received",
        share=1.0,
        end=START + 9 * HOUR,
        hits=_is_sold_out,
        harm=_is_short,
        attribute=("sku", "SKU-3"),
    ),
    Scenario(
        "returns_not_inspected",
        "Returned parcels stand unopened in the warehouse",
        frozenset({"return_received_not_inspected"}),
        "wms",
        at="return.received",
        harm=_stops_after("return.received"),
        end=START + 6 * DAY,
        orders=150,
        lasts=12 * DAY,
        returned=True,
    ),
    Scenario(
        "refunds_missing",
        "Inspected returns are never refunded",
        frozenset({"refund_missing"}),
        "finance",
        at="return.inspected",
        harm=_stops_after("return.inspected"),
        end=START + 7 * DAY,
        orders=150,
        lasts=12 * DAY,
        returned=True,
    ),
    Scenario(
        "refunds_twice",
        "A second refund is instructed beside the first",
        frozenset({"refund_instructed_twice"}),
        "finance",
        at="refund.instructed",
        harm=_is_refunded_twice,
        end=START + 8 * DAY,
        orders=150,
        lasts=12 * DAY,
        returned=True,
    ),
    Scenario(
        "inventory_slow",
        "Reservations take three hours and come",
        RESERVATION,
        "inventory",
        ("wms",),
        harm=lambda order, chance: order.delayed("inventory.reserved", 3 * HOUR),
    ),
    Scenario(
        "wrong_clocks",
        "The contention, told by systems whose clocks are minutes apart",
        RESERVATION,
        "inventory",
        ("wms",),
        harm=_reserve_fails,
        weather=Weather(clocks={"payment": 90 * 1_000_000_000, "inventory": -120 * 1_000_000_000}),
    ),
    Scenario(
        "storm_of_repeats",
        "The contention, with most records doubled and many late",
        RESERVATION,
        "inventory",
        ("wms",),
        harm=_reserve_fails,
        weather=Weather(doubled=0.6, late=0.3, late_by=90 * MINUTE),
    ),
    Scenario(
        "all_evidence_lost",
        "The inventory works; its records never arrive",
        expects="unverified",
        share=0.0,
        weather=Weather(outages=(Outage("inventory", START + HOUR, START + 3 * DAY),)),
    ),
    Scenario(
        "records_lost",
        "One record in fifty is lost on its way; nothing else is wrong",
        expects="unverified",
        share=0.0,
        weather=Weather(lost=0.02),
    ),
    Scenario(
        "records_delayed",
        "The shipping of the inventory's records stalls for six hours, then all of them arrive",
        expects="nothing",
        share=0.0,
        weather=Weather(outages=(Outage("inventory", START + 2 * HOUR, START + 5 * HOUR, START + 8 * HOUR),)),
    ),
)

SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
