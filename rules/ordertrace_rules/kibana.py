"""Links into Kibana's search: the log lines of an order, or of an incident's orders, around their time.

What an order's data hold is quoted three times, each by the rules of the language that it goes into: a value in
KQL, KQL in Rison (the notation of Kibana's addresses), Rison in the address by percent signs. So an id can be
any text, and ends up as nothing but a value.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.identity import DEFAULT_NAMESPACE, order_trace_id
from ordertrace_rules.settings import Settings
from ordertrace_rules.times import HOUR, NS, format_instant
from ordertrace_rules.vocabulary import Journey, Member

DATA_VIEW = "ordertrace-events"  # its id in collector-config/kibana/ordertrace.ndjson
COLUMNS = (ecs.SERVICE_NAME, ecs.EVENT_ACTION, ecs.EVENT_OUTCOME, ecs.EVENT_REASON, ecs.ORDER_ID, ecs.MESSAGE)
COHORT = 50  # orders in one link
LONGEST_QUERY = 4_000  # bytes as they stand in the address; twice as many are too long for some chats
BEFORE, AFTER = HOUR, HOUR  # clocks differ, and what led to it is worth a look
_MILLISECOND = NS // 1000
_PLAIN_FIELD = re.compile(r"[A-Za-z0-9_.@]+")

Term: TypeAlias = tuple[str, str]  # a field and its value
RisonValue: TypeAlias = bool | int | str | Sequence["RisonValue"] | Mapping[str, "RisonValue"] | None


@dataclass(frozen=True, slots=True)
class CohortUrl:
    """A link that searches for the first `searched` of `given` orders; empty where there is nothing to link."""

    url: str
    searched: int
    given: int


@dataclass(frozen=True, slots=True)
class Kibana:
    """Where links lead: the address, with the path of a space if there is one; empty makes no links."""

    url: str = ""
    namespace: str = DEFAULT_NAMESPACE  # of `order.trace_id`

    def order(self, order_id: str, refs: Mapping[str, Sequence[str]], start: int, end: int | None) -> str:
        """The search for one order, as `discover_order_url` has it."""
        if not self.url:
            return ""
        trace_id = order_trace_id(order_id, self.namespace)
        return discover_order_url(self.url, order_id, refs, start, end, trace_id=trace_id)

    def cohort(
        self, members: Iterable[Member], journeys: Mapping[str, Journey], end: int | None, limit: int
    ) -> CohortUrl:
        """The search for the orders of these members; `journeys` by subject say when each began, and its refs."""
        told = [member for member in members if member.order_ids]
        orders = list(dict.fromkeys(order for member in told for order in member.order_ids))
        if not self.url or not orders:
            return CohortUrl("", 0, 0)
        known = [journeys[member.subject] for member in told if member.subject in journeys]
        begun = [journey.started_at for journey in known if journey.started_at is not None]
        start = min([*begun, *(member.since or member.opened_at for member in told)])
        refs = [
            (kind, value) for journey in known for kind, values in journey.refs.items() for value in values
        ]
        return discover_cohort_url(self.url, orders, refs, start, end, limit)


NO_KIBANA = Kibana()


def site_kibana(settings: Settings) -> Kibana:
    """The Kibana that the settings name; none where they name none."""
    return Kibana(settings.kibana_url, settings.namespace)


def discover_order_url(
    base_url: str,
    order_id: str,
    refs: Mapping[str, Sequence[str]],
    start: int,
    end: int | None,
    *,
    trace_id: str = "",
) -> str:
    """Discover with every record of one order: by its id, its `order.trace_id`, and the ids that others call it.

    `start` and `end` are of the journey, in nanoseconds; an `end` of None is one that goes on, up to now. Refs
    that would make the address too long are left out, the order's own id never.
    """
    said = [(ecs.ORDER_REFS + kind, value) for kind, values in refs.items() for value in values]
    traced = [(ecs.ORDER_TRACE_ID, trace_id)] if trace_id else []
    return _discover(base_url, _fitting([(ecs.ORDER_ID, order_id), *traced, *said]), start, end)


def discover_cohort_url(
    base_url: str,
    orders: Sequence[str],
    refs: Iterable[tuple[str, str]],
    start: int,
    end: int | None,
    limit: int = COHORT,
) -> CohortUrl:
    """Discover with the records of any of these orders: of the first `limit`, or as many as fit.

    `refs` are (kind, value) of the ids that others call them; they are left out where there is no room.
    """
    said = [(ecs.ORDER_REFS + kind, value) for kind, value in refs]
    terms = _fitting([*((ecs.ORDER_ID, order) for order in orders[:limit]), *said])
    searched = sum(field == ecs.ORDER_ID for field, _ in terms)
    return CohortUrl(_discover(base_url, terms, start, end), searched, len(orders))


def rison(value: RisonValue) -> str:
    """Rison, with every text in quotes: then none of it can be taken for a number, a word or a bracket."""
    if value is None:
        return "!n"
    if isinstance(value, bool):
        return "!t" if value else "!f"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return "'" + value.replace("!", "!!").replace("'", "!'") + "'"
    if isinstance(value, Mapping):
        return "(" + ",".join(f"{rison(key)}:{rison(inner)}" for key, inner in value.items()) + ")"
    return "!(" + ",".join(rison(inner) for inner in value) + ")"


def _discover(base_url: str, terms: Sequence[Term], start: int, end: int | None) -> str:
    around: RisonValue = {
        "from": _milliseconds(max(0, start - BEFORE)),
        "to": "now" if end is None else _milliseconds(max(start, end) + AFTER),
    }
    view: RisonValue = {
        "columns": COLUMNS,
        "dataSource": {"dataViewId": DATA_VIEW, "type": "dataView"},
        "filters": [],
        "query": {"language": "kuery", "query": _kql(terms)},
        "sort": [[ecs.TIMESTAMP, "asc"]],
    }
    state = f"_g={_encoded(rison({'time': around}))}&_a={_encoded(rison(view))}"
    return f"{base_url.rstrip('/')}/app/discover#/?{state}"


def _kql(terms: Iterable[Term]) -> str:
    """Records of which any field has any of its values."""
    by_field: dict[str, list[str]] = {}
    for field, value in terms:
        by_field.setdefault(field, []).append(_quoted(value))
    return " or ".join(
        f"{_name(field)} : {values[0] if len(values) == 1 else '(' + ' or '.join(values) + ')'}"
        for field, values in by_field.items()
    )


def _name(field: str) -> str:
    return field if _PLAIN_FIELD.fullmatch(field) else _quoted(field)


def _quoted(text: str) -> str:
    """Text between the quotes of KQL, in which `*` and words such as `or` mean nothing."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _fitting(terms: Sequence[Term]) -> list[Term]:
    """Each once, and as many as fit into an address; the first always does."""
    room, fitting = LONGEST_QUERY, list[Term]()
    for term in dict.fromkeys(terms):
        cost = len(_encoded(rison(_kql([term]) + " or ")))
        if fitting and cost > room:
            break
        fitting.append(term)
        room -= cost
    return fitting


def _encoded(text: str) -> str:
    """Percent signs for all but letters, digits and `-._~`: brackets and quotes would end a link in Markdown."""
    return quote(text, safe="", errors="replace")


def _milliseconds(instant: int) -> str:
    return format_instant(instant, unit=_MILLISECOND)
