"""Which order does an event belong to? Half of the systems know a payment id or a waybill, not the order.

An event that carries an order id and refs teaches ref -> order; one that carries only refs teaches that they
belong together, so refs lead through refs (reservation -> payment -> order). Everything taught is a set of
bindings with the earliest time at which each was seen; what an event resolves to depends on that set alone,
not on the order in which it grew.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ordertrace_rules.event import Event
from ordertrace_rules.times import DAY
from ordertrace_rules.vocabulary import Binding

ORDER = "order"
TRACE = "trace"
MAX_HOPS = 4  # return -> shipment -> reservation -> payment -> order


@dataclass(frozen=True, slots=True)
class AliasKind:
    """How one kind of ref behaves."""

    exclusive: bool = False  # leads to one order at a time; a second one is a conflict for a person
    reuse_after: int | None = None  # the issuer gives the value out again after this long
    issuer_label: str = ""  # the label that names the issuer


DEFAULT_KINDS: Mapping[str, AliasKind] = {
    "tracking_no": AliasKind(reuse_after=90 * DAY, issuer_label="carrier"),
    "reservation_id": AliasKind(exclusive=True),
    "rma_id": AliasKind(exclusive=True),
    "refund_id": AliasKind(exclusive=True),
}


@dataclass(frozen=True, slots=True)
class AliasConflict:
    """An exclusive ref that leads to two orders at once. The earlier one holds until a person decides."""

    key: str
    kept: str
    refused: str
    at: int


def order_key(order_id: str) -> str:
    return f"{ORDER}:{order_id}"


def ref_key(kind: str, value: str) -> str:
    return f"{kind}:{value}"


def kind_of(key: str) -> str:
    return key.partition(":")[0]


def value_of(key: str) -> str:
    return key.partition(":")[2]


def keys_of(event: Event) -> tuple[str, ...]:
    """Every key under which the event can be found: its order, its trace ids and its refs."""
    keys = [order_key(event.order_id)] if event.order_id else []
    keys += [ref_key(TRACE, t) for t in dict.fromkeys((event.order_trace_id, event.trace_id)) if t]
    keys += [ref_key(kind, value) for kind, value in event.refs.items()]
    return tuple(keys)


@dataclass(frozen=True, slots=True)
class Aliases:
    """The rules by which bindings are made and read. `kinds` overrides the defaults by name."""

    kinds: Mapping[str, AliasKind] = field(default_factory=lambda: DEFAULT_KINDS)

    def taught_by(self, event: Event) -> list[Binding]:
        """The bindings that one event teaches."""
        refs = list(event.refs.items())
        if event.order_id:
            order = order_key(event.order_id)
            taught = [Binding(ref_key(k, v), order, event.timestamp, self._issuer(k, event)) for k, v in refs]
            if event.order_trace_id:
                taught.append(Binding(ref_key(TRACE, event.order_trace_id), order, event.timestamp))
            return taught
        return [
            Binding(ref_key(k1, v1), ref_key(k2, v2), event.timestamp, self._issuer(k1, event))
            for k1, v1 in refs
            for k2, v2 in refs
            if (k1, v1) != (k2, v2)
        ]

    def orders_of(
        self, event: Event, bindings_from: Callable[[Collection[str]], Sequence[Binding]]
    ) -> set[str]:
        """The order ids that an event belongs to; empty for an orphan.

        Its own order id decides. Else each of its refs is followed; where several lead somewhere, what they
        have in common is taken (a merged payment and one of its shipments mean the shipment's order).
        """
        if event.order_id:
            return {event.order_id}
        found: list[set[str]] = []
        for key in keys_of(event):
            orders = self._follow(key, self._issuer(kind_of(key), event), event.timestamp, bindings_from)
            if orders:
                found.append(orders)
        if not found:
            return set()
        common = set[str].intersection(*found)
        return common or set[str].union(*found)

    def keys_leading_to(
        self, order_id: str, bindings_to: Callable[[Collection[str]], Sequence[Binding]]
    ) -> set[str]:
        """Every key that may lead to the order, nearest first in hops; the caller filters by `orders_of`."""
        seen = {order_key(order_id)}
        frontier = set(seen)
        for _ in range(MAX_HOPS):
            frontier = {b.key for b in bindings_to(frontier)} - seen
            if not frontier:
                break
            seen |= frontier
        return seen

    def orders_reached_from(
        self, keys: Collection[str], bindings_from: Callable[[Collection[str]], Sequence[Binding]]
    ) -> set[str]:
        """Every order that any of the keys may lead to, whatever the time: whom a new binding may concern."""
        seen = set(keys)
        frontier = set(keys)
        for _ in range(MAX_HOPS + 1):
            frontier = {b.target for b in bindings_from(frontier)} - seen
            if not frontier:
                break
            seen |= frontier
        return {value_of(key) for key in seen if kind_of(key) == ORDER}

    def changes_hands(self, key: str) -> bool:
        """Whether a new binding of the key may take it from an order that had it."""
        kind = self._kind(key)
        return kind.exclusive or kind.reuse_after is not None

    def conflicts(self, bindings: Iterable[Binding]) -> list[AliasConflict]:
        """The conflicts among the bindings of one key."""
        by_key: dict[str, list[Binding]] = {}
        for binding in bindings:
            if kind_of(binding.target) == ORDER and self._kind(binding.key).exclusive:
                by_key.setdefault(binding.key, []).append(binding)
        conflicts: list[AliasConflict] = []
        for key, group in by_key.items():
            first, *others = sorted(group, key=lambda b: (b.since, b.target))
            conflicts += [
                AliasConflict(key, value_of(first.target), value_of(b.target), b.since)
                for b in others
                if b.target != first.target
            ]
        return conflicts

    def _follow(
        self,
        key: str,
        issuer: str,
        at: int,
        bindings_from: Callable[[Collection[str]], Sequence[Binding]],
    ) -> set[str]:
        seen, frontier = {key}, {key: issuer}
        for _ in range(MAX_HOPS):
            bindings = bindings_from(list(frontier))
            direct: set[str] = set()
            onward: dict[str, str] = {}
            for here, said in frontier.items():
                valid = self._valid(
                    [b for b in bindings if b.key == here and _same_issuer(b, said)], here, at
                )
                direct |= {value_of(b.target) for b in valid if kind_of(b.target) == ORDER}
                onward |= {b.target: "" for b in valid if kind_of(b.target) != ORDER and b.target not in seen}
            if direct:
                return direct
            seen |= set(onward)
            frontier = onward
            if not frontier:
                break
        return set()

    def _valid(self, bindings: list[Binding], key: str, at: int) -> list[Binding]:
        """Those that hold at `at`: of a re-used number the generation then current, of an exclusive the first.

        A trace in which several orders were placed (a batch, a long span) is no sign of any of them.
        """
        kind = self._kind(key)
        if kind_of(key) == TRACE and len({b.target for b in bindings}) > 1:
            return []
        bindings = sorted(bindings, key=lambda b: (b.since, b.target))
        if kind.reuse_after is not None and bindings:
            generations: list[list[Binding]] = [[bindings[0]]]
            for binding in bindings[1:]:
                if binding.since - generations[-1][-1].since >= kind.reuse_after:
                    generations.append([])
                generations[-1].append(binding)
            begun = [g for g in generations if g[0].since <= at]
            bindings = begun[-1] if begun else generations[0]
        if kind.exclusive:
            orders = [b for b in bindings if kind_of(b.target) == ORDER]
            bindings = orders[:1] or bindings
        return bindings

    def _kind(self, key: str) -> AliasKind:
        return self.kinds.get(kind_of(key), _PLAIN)

    def _issuer(self, kind: str, event: Event) -> str:
        label = self.kinds.get(kind, _PLAIN).issuer_label
        return event.labels.get(label, "") if label else ""


def _same_issuer(binding: Binding, issuer: str) -> bool:
    return not issuer or not binding.issuer or binding.issuer == issuer


_PLAIN = AliasKind()
