"""The day summed up: how many orders were seen, what went wrong, and how much of it the logs could not show."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from ordertrace_alerting.durations import NS
from ordertrace_alerting.policy import DailyReport
from ordertrace_alerting.vocabulary import Signal

_STILL = 12 * 3600 * NS  # a report that nobody could make for so long is left out


@dataclass(frozen=True, slots=True)
class DayFigures:
    """What whoever watches counted in a span of time."""

    orders_seen: int
    incidents_opened: int
    incidents_open: int  # at the end of it
    incidents_unverified: int  # of those opened: the logs did not suffice for a firm word
    unmatched_share: float  # of the events that came, 0 to 1: those that lead to no order


Count = Callable[[int, int], DayFigures]
"""Figures from an instant up to another, both in nanoseconds."""


def report_due(report: DailyReport, now: int) -> int | None:
    """The instant, not after `now`, of the report that is to be made; None where it lies too far back."""
    latest = _latest(report, now)
    return latest if now - latest < _STILL else None


def next_report(report: DailyReport, now: int) -> int:
    """The instant of the first report after `now`."""
    return _at(report, _latest(report, now), days=1)


def day_before(report: DailyReport, at: int) -> int:
    """Where the day begins that ends with the report at `at`."""
    return _at(report, at, days=-1)


def report_signal(report: DailyReport, at: int, figures: DayFigures) -> Signal:
    """The report of the day that ended at `at`: one id a day, so that it is told once."""
    day = datetime.fromtimestamp(at // NS, UTC).astimezone(report.zone).date().isoformat()
    share = f"{figures.unmatched_share:.1%}"
    n = figures
    return Signal(
        id=f"daily-{day}:1",
        incident=f"daily-{day}",
        number=1,
        kind="report",
        status="report",
        at=at,
        labels={"report": "daily", "severity": "info", "owner": "ordertrace"},
        title={"en": f"The day until {day}", "zh": f"截至 {day} 的日报"},
        body={
            "en": f"- Orders seen: {n.orders_seen:,}\n- Incidents: {n.incidents_opened:,} new, of them"
            f" {n.incidents_unverified:,} unverified; {n.incidents_open:,} open now\n"
            f"- Events that lead to no order: {share}",
            "zh": f"- 涉及订单:{n.orders_seen:,}\n- 事件:新增 {n.incidents_opened:,},其中未证实"
            f" {n.incidents_unverified:,};当前未结束 {n.incidents_open:,}\n- 无法关联到订单的日志:{share}",
        },
        payload=asdict(figures),
    )


def _latest(report: DailyReport, now: int) -> int:
    today = _at(report, now)
    return today if today <= now else _at(report, now, days=-1)


def _at(report: DailyReport, day_of: int, *, days: int = 0) -> int:
    day = datetime.fromtimestamp(day_of // NS, UTC).astimezone(report.zone).date() + timedelta(days=days)
    return round(datetime.combine(day, report.at, report.zone).timestamp()) * NS
