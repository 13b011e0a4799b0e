"""The figures of alerting's daily report."""

from ordertrace_alerting.daily import DayFigures
from ordertrace_rules.scheduler import Pulse
from ordertrace_rules.stores.paging import incidents_since
from ordertrace_rules.stores.protocol import Store, Views

_PLACED = "order.placed"


def day_figures(store: Store, views: Views, pulse: Pulse, since: int, until: int) -> DayFigures:
    """What was counted from `since` up to `until`; the share of unmatched events is that since this process began."""
    opened = [incident for incident in incidents_since(views, since) if incident.detected_at < until]
    return DayFigures(
        orders_seen=store.count_of(_PLACED, "", since, until),
        incidents_opened=len(opened),
        incidents_open=len(store.incidents_open()),
        incidents_unverified=sum(incident.certainty == "unverified" for incident in opened),
        unmatched_share=pulse.orphans / pulse.events if pulse.events else 0.0,
    )
