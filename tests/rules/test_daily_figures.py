"""The figures of the daily report come from what the store counted."""

from ordertrace_rules.clock import SystemClock
from ordertrace_rules.daily_figures import day_figures
from ordertrace_rules.scheduler import Pulse
from ordertrace_rules.service import open_service
from ordertrace_rules.settings import load_settings
from ordertrace_rules.times import DAY, format_instant


def test_orders_of_the_day_are_counted_and_those_of_other_days_are_not() -> None:
    now = SystemClock().now()
    with open_service(load_settings(environ={"ORDERTRACE_STORE": "memory"})) as service:
        for number, at in enumerate((now - DAY // 2, now - DAY // 3, now - 2 * DAY)):
            service.intake.accept(
                [
                    {
                        "@timestamp": format_instant(at),
                        "message": "placed",
                        "service.name": "shop",
                        "event.action": "order.placed",
                        "order.id": f"SO-{number}",
                    }
                ],
                source="test",
            )
        figures = day_figures(service.store, service.views, Pulse(events=50, orphans=1), now - DAY, now)
    assert (figures.orders_seen, figures.incidents_opened, figures.incidents_open) == (2, 0, 0)
    assert figures.unmatched_share == 0.02
