"""Silences as people write and read them: on pages, in commands, through the API."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ordertrace_alerting.errors import BadSilence
from ordertrace_alerting.policy import Silence
from ordertrace_alerting.silences import read_matchers, silence, state_of
from ordertrace_alerting.store import AlertStore
from ordertrace_rules.alert_labels import doubt_of_label
from ordertrace_rules.times import MINUTE, format_instant, parse_duration, parse_instant


@dataclass(frozen=True, slots=True)
class SilenceAsked:
    """What a person asks for; `starts` and one of `lasts` and `until` may be empty: it begins now."""

    matchers: Sequence[str]
    author: str
    reason: str
    lasts: str = ""  # 30m, 2h, 3d
    until: str = ""  # an instant
    starts: str = ""  # an instant


def begin_silence(store: AlertStore, asked: SilenceAsked, now: int) -> Silence:
    """Raises BadSilence with what is wrong, and the way out."""
    starts_at = _instant("starts_at", asked.starts) if asked.starts else now
    if now - MINUTE < starts_at:  # a page's field tells minutes: this one is now
        starts_at = max(starts_at, now)
    if bool(asked.until) == bool(asked.lasts):
        raise BadSilence("say either how long it lasts (30m, 2h, 3d) or when it ends")
    if asked.until:
        duration = _instant("ends_at", asked.until) - starts_at
    else:
        try:
            duration = parse_duration(asked.lasts)
        except ValueError as error:
            raise BadSilence(f"{error}; write it like 30m, 2h or 3d") from None
    for matcher in read_matchers(asked.matchers):
        said, fix = doubt_of_label(matcher.label)
        if said:
            raise BadSilence(f"{said}, so this would silence nothing: {fix}")
    return silence(store, asked.matchers, asked.author, asked.reason, duration, now, starts_at)


def silence_document(silence: Silence, now: int) -> dict[str, Any]:
    """With its state at `now`."""
    return {
        "id": silence.id,
        "state": state_of(silence, now),
        "matchers": [str(matcher) for matcher in silence.matchers],
        "author": silence.author,
        "reason": silence.reason,
        "starts_at": format_instant(silence.starts_at),
        "ends_at": format_instant(silence.ends_at),
    }


def _instant(name: str, text: str) -> int:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise BadSilence(f"{name}: {error}") from None
