"""The figures of alerting's daily report."""

from collections.abc import Iterator

from ordertrace_alerting.daily import DayFigures
from ordertrace_rules.scheduler import Pulse
from ordertrace_rules.stores.protocol import Store, Views
from ordertrace_rules.vocabulary import Incident

_PAGE = 500
_PLACED = "order.placed"


def day_figures(store: Store, views: Views, pulse: Pulse, since: int, until: int) -> DayFigures:
    """What was counted from `since` up to `until`; the share of unmatched events is that since this process began."""
    opened = [incident for incident in _detected_since(views, since) if incident.detected_at < until]
    return DayFigures(
        orders_seen=store.count_of(_PLACED, "", since, until),
        incidents_opened=len(opened),
        incidents_open=len(store.incidents_open()),
        incidents_unverified=sum(incident.certainty == "unverified" for incident in opened),
        unmatched_share=pulse.orphans / pulse.events if pulse.events else 0.0,
    )


def _detected_since(views: Views, since: int) -> Iterator[Incident]:
    """The latest first."""
    after = ""
    while True:
        page = views.incidents(after=after, limit=_PAGE)
        for incident in page.rows:
            if incident.detected_at < since:
                return
            yield incident
        if not page.next:
            return
        after = page.next
