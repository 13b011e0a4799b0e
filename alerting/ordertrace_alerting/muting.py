"""What is not told now, and why: silences, maintenance windows, quiet hours, inhibition.

Only beginnings wait. Whoever heard of one also hears how it ends, whatever is muted meanwhile.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from ordertrace_alerting.durations import NS
from ordertrace_alerting.matchers import all_match
from ordertrace_alerting.policy import AlertingConfig, Inhibition, QuietHours, Silence
from ordertrace_alerting.routing import routing_labels
from ordertrace_alerting.silences import mutes
from ordertrace_alerting.vocabulary import Group, Signal


@dataclass(frozen=True, slots=True)
class Hold:
    """Why something waits, and until when as far as anybody knows."""

    why: str
    until: int | None = None


class Mutes:
    """What is muted at one moment; the store is asked at most once, and only for what is configured."""

    def __init__(
        self,
        config: AlertingConfig,
        silences: Callable[[], Sequence[Silence]],
        open_groups: Callable[[], Sequence[Group]],
    ) -> None:
        self._config = config
        self._read_silences = silences
        self._open_groups = open_groups

    def hold(self, signal: Signal, now: int) -> Hold | None:
        """What keeps `signal` from being told at `now`; None where nothing does."""
        labels = routing_labels(signal)
        for silence in self._silences:
            if mutes(silence, labels, now):
                return Hold(f"silence {silence.id} of {silence.author}: {silence.reason}", silence.ends_at)
        for window in self._config.maintenance:
            if window.starts_at <= now < window.ends_at and all_match(window.matchers, labels):
                return Hold(f"maintenance {window.name}", window.ends_at)
        for quiet in self._config.quiet_hours:
            until = quiet_until(quiet, now)
            if until is not None and all_match(quiet.matchers, labels):
                return Hold(f"quiet hours {quiet.name}", until)
        return self._inhibited(signal, labels)

    def _inhibited(self, signal: Signal, labels: Mapping[str, str]) -> Hold | None:
        for rule in self._config.inhibitions:
            if all_match(rule.targets, labels):
                for source in self._firing:
                    if source.incident != signal.incident and _inhibits(rule, source, labels):
                        return Hold(f"inhibited by {source.incident}")
        return None

    @cached_property
    def _silences(self) -> Sequence[Silence]:
        return self._read_silences()

    @cached_property
    def _firing(self) -> Sequence[Signal]:
        """The latest signal of each incident that fires, told or not."""
        latest: dict[str, Signal] = {}
        for group in self._open_groups():
            known = [
                *(told.signal for told in group.told.values()),
                *(held.signal for held in group.held.values()),
                *group.pending.values(),
            ]
            for signal in known:
                if signal.number >= (latest[signal.incident].number if signal.incident in latest else 0):
                    latest[signal.incident] = signal
        return [signal for signal in latest.values() if signal.status == "firing"]


def quiet_until(quiet: QuietHours, now: int) -> int | None:
    """When the quiet hours in which `now` lies end; None where it lies in none."""
    local = datetime.fromtimestamp(now // NS, UTC).astimezone(quiet.zone)
    for day in (local.date(), local.date() - timedelta(days=1)):
        if day.weekday() not in quiet.days:
            continue
        last = day if quiet.begins < quiet.ends else day + timedelta(days=1)
        begins = datetime.combine(day, quiet.begins, quiet.zone).timestamp()
        ends = datetime.combine(last, quiet.ends, quiet.zone).timestamp()
        if round(begins * NS) <= now < round(ends * NS):
            return round(ends * NS)
    return None


def _inhibits(rule: Inhibition, source: Signal, labels: Mapping[str, str]) -> bool:
    """An incident that is source and target both is not inhibited by its likes, or each would hold the other."""
    known = routing_labels(source)
    if not all_match(rule.sources, known):
        return False
    if all_match(rule.sources, labels) and all_match(rule.targets, known):
        return False
    return all(known.get(name, "") == labels.get(name, "") for name in rule.equal)
