"""Orders on their way through a healthy shop: what each system says of them, and when."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random

from ordertrace_rules.times import HOUR, MINUTE, NS

SKUS = tuple(f"SKU-{number}" for number in range(1, 9))
WAREHOUSES = ("east", "west")
CARRIERS = ("swift", "parcelo")
CANCELLED = 0.03  # of all orders, before the warehouse has them


@dataclass(frozen=True, slots=True)
class Step:
    """What happens next to a healthy order: `after` is the median time since the step before, in nanoseconds."""

    action: str
    service: str
    after: int
    refs: tuple[str, ...] = ()  # the ids by which that system knows the order; "" is the order id


FORWARD = (
    Step("order.placed", "storefront", 0, ("",)),
    Step("payment.captured", "payment", 2 * MINUTE, ("", "payment_id")),
    Step("inventory.reserved", "inventory", 20 * NS, ("", "reservation_id")),
    Step("wms.received", "wms", 10 * MINUTE, ("reservation_id", "shipment_id")),
    Step("wms.picked", "wms", 2 * HOUR, ("shipment_id",)),
    Step("wms.packed", "wms", 40 * MINUTE, ("shipment_id",)),
    Step("shipment.handed_over", "wms", 3 * HOUR, ("shipment_id", "tracking_no")),
    Step("shipment.collected", "carrier", 4 * HOUR, ("tracking_no",)),
    Step("delivery.signed", "carrier", 30 * HOUR, ("tracking_no",)),
)
RETURN = (
    Step("return.requested", "storefront", 20 * HOUR, ("", "rma_id")),
    Step("return.approved", "returns", 2 * HOUR, ("rma_id",)),
    Step("return.received", "wms", 40 * HOUR, ("rma_id",)),
    Step("return.inspected", "wms", 6 * HOUR, ("rma_id",)),
    Step("refund.instructed", "finance", 1 * HOUR, ("rma_id", "refund_id")),
    Step("refund.paid", "payment", 8 * HOUR, ("refund_id", "payment_id")),
)
SERVICES = tuple(dict.fromkeys(step.service for step in (*FORWARD, *RETURN)))
_SPREAD = 0.4  # sigma of the logarithm: nine in ten take less than 1.7 times the median
_SLOWEST = 2.5  # sigmas, 2.7 times the median: what takes longer misses a target, and is not healthy


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that a system says of an order at `at`, by a clock that is right."""

    at: int
    action: str
    service: str
    refs: tuple[str, ...] = ()
    copy: int = 1


@dataclass(frozen=True, slots=True)
class Order:
    """What truly happened to an order, in order of time."""

    id: str
    number: int
    labels: Mapping[str, str]
    amount: float
    happenings: tuple[Happening, ...]

    def first(self, action: str) -> Happening | None:
        return next((each for each in self.happenings if each.action == action), None)

    def without(self, *actions: str) -> "Order":
        return self._with(each for each in self.happenings if each.action not in actions)

    def until(self, action: str) -> "Order":
        """Nothing after the first `action`."""
        kept: list[Happening] = []
        for each in self.happenings:
            kept.append(each)
            if each.action == action:
                break
        return replace(self, happenings=tuple(kept))

    def then(
        self, after: str, by: int, action: str, service: str, refs: tuple[str, ...] = (), copy: int = 1
    ) -> "Order":
        """With one thing more, so long after `after`; a second `copy` has ids of its own, but for the order's."""
        begun = self.first(after)
        if begun is None:
            return self
        return self._with([*self.happenings, Happening(begun.at + by, action, service, refs, copy)])

    def delayed(self, action: str, by: int) -> "Order":
        """`action` and all after it come later."""
        begun = self.first(action)
        if begun is None:
            return self
        return self._with(
            replace(each, at=each.at + by) if each.at >= begun.at else each for each in self.happenings
        )

    def _with(self, happenings: Iterable[Happening]) -> "Order":
        return replace(self, happenings=tuple(sorted(happenings, key=lambda each: each.at)))


def healthy_order(number: int, at: int, returned: bool, chance: Random) -> Order:
    """An order placed at `at` that goes its way; a few are cancelled on it."""
    labels = {
        "sku": chance.choice(SKUS),
        "warehouse": chance.choice(WAREHOUSES),
        "carrier": chance.choice(CARRIERS),
    }
    happenings: list[Happening] = []
    for step in (*FORWARD, *(RETURN if returned else ())):
        at += round(step.after * math.exp(_SPREAD * min(chance.gauss(0, 1), _SLOWEST)))
        happenings.append(Happening(at, step.action, step.service, step.refs))
    order = Order(f"SO-{number:05}", number, labels, round(chance.uniform(20, 400), 2), tuple(happenings))
    if chance.random() < CANCELLED:
        order = order.until("payment.captured").then(
            "payment.captured", 5 * MINUTE, "order.cancelled", "storefront", ("",)
        )
    return order
