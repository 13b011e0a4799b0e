"""Find an order by any id that somebody pastes: its own, a payment's, a waybill's, a trace's."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple, Protocol

from ordertrace_instrumentation.identity import normalise_order_id
from ordertrace_rules.aliases import ORDER, TRACE, Aliases, kind_of
from ordertrace_rules.stores.protocol import OrderHit
from ordertrace_rules.vocabulary import Binding, Journey

LAST = "\U0010ffff"
"""What begins with a text lies between the text and the text followed by this."""

MATCHED = {ORDER: "order id", TRACE: "trace id"}
_ALIASES = Aliases()


class SearchKey(NamedTuple):
    """One id under which a journey's order can be found."""

    value: str
    kind: str
    order_id: str
    journey: str


class Index(Protocol):
    """What a backend answers; `exact` or as the beginning of an id. Both are sorted by value."""

    def search_keys(self, text: str, exact: bool, limit: int) -> Sequence[SearchKey]: ...

    def alias_keys(self, text: str, exact: bool, limit: int) -> Sequence[str]:
        """The keys of bindings, and the orders they lead to, whose value is or begins with the text."""
        ...


def search_keys(journey: Journey) -> frozenset[SearchKey]:
    """Every id under which the journey's orders can be found."""
    own = [SearchKey(order_id, ORDER, order_id, journey.id) for order_id in journey.order_ids]
    refs = [
        SearchKey(value, kind, order_id, journey.id)
        for kind, values in journey.refs.items()
        for value in values
        for order_id in journey.order_ids
    ]
    return frozenset((*own, *refs))


def find_orders(
    text: str,
    limit: int,
    index: Index,
    bindings_from: Callable[[Collection[str]], Sequence[Binding]],
) -> list[OrderHit]:
    """The orders that `text` leads to: an exact id first, then ids that begin with it, each order once."""
    text = normalise_order_id(text)
    if not text or limit <= 0:
        return []
    hits: dict[str, OrderHit] = {}
    for exact in (True, False):
        for order_id, kind in _found(text, exact, limit, index, bindings_from):
            hits.setdefault(order_id, OrderHit(order_id, MATCHED.get(kind, kind)))
            if len(hits) == limit:
                return list(hits.values())
    return list(hits.values())


def _found(
    text: str,
    exact: bool,
    limit: int,
    index: Index,
    bindings_from: Callable[[Collection[str]], Sequence[Binding]],
) -> Iterator[tuple[str, str]]:
    found = index.search_keys(text, exact, limit * 8)  # one order has several journeys and refs
    for key in sorted(found, key=lambda k: (k.kind != ORDER, k)):
        yield key.order_id, key.kind
    for alias in index.alias_keys(text, exact, limit * 8):
        for order_id in sorted(_ALIASES.orders_reached_from((alias,), bindings_from)):
            yield order_id, kind_of(alias)
