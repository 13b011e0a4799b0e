"""Who watches the watcher: the daily report, and the outside address that is pinged."""

from datetime import time

from ordertrace_alerting.durations import NS
from ordertrace_alerting.fields import Fields
from ordertrace_alerting.policy import DailyReport, DeadMan
from ordertrace_alerting.receiver_config import with_secrets
from ordertrace_alerting.redaction import Secret
from ordertrace_alerting.senders.receiver_options import read_connection, read_url
from ordertrace_alerting.zone_config import read_time, read_zone


def read_daily_report(fields: Fields) -> DailyReport | None:
    """What is under `daily_report`; without it there is none."""
    below = fields.below("daily_report")
    if not fields.has("daily_report"):
        return None
    report = DailyReport(read_time(below, "at") or time(), read_zone(below))
    below.finish()
    return report


def read_dead_man(fields: Fields) -> DeadMan | None:
    """What is under `dead_man`; without it nobody is pinged."""
    below = with_secrets(fields.below("dead_man"))
    if not fields.has("dead_man"):
        return None
    dead_man = DeadMan(
        url=Secret(read_url(below)),
        every=below.duration("every", 60 * NS, least=NS, most=86_400 * NS),
        **read_connection(below),
    )
    below.finish()
    return dead_man
