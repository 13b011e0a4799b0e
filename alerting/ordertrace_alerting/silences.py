"""Silences: what matches is not told until they end. A person makes them, with a reason, and never for ever."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from ordertrace_alerting.durations import NS, format_duration
from ordertrace_alerting.errors import BadSilence, UnknownSilence
from ordertrace_alerting.matchers import MATCHER_FIX, all_match, parse_matcher
from ordertrace_alerting.policy import Matcher, Silence
from ordertrace_alerting.store import AlertStore

LONGEST = 90 * 86_400 * NS
_LONGEST_TEXT = 300  # characters
_MOST_MATCHERS, _LONGEST_MATCHER = 20, 1_000  # characters

SilenceState = Literal["active", "pending", "ended"]
SILENCE_STATES: tuple[SilenceState, ...] = ("active", "pending", "ended")


def read_matchers(matchers: Sequence[str]) -> tuple[Matcher, ...]:
    """Those of a silence. Raises BadSilence with what is wrong, and the way out."""
    if not 1 <= len(matchers) <= _MOST_MATCHERS:
        raise BadSilence(f"a silence has from 1 to {_MOST_MATCHERS} matchers: {MATCHER_FIX}")
    if any(len(text) > _LONGEST_MATCHER for text in matchers):
        raise BadSilence(f"a matcher has up to {_LONGEST_MATCHER} characters: {MATCHER_FIX}")
    try:
        read = tuple(parse_matcher(text) for text in matchers)
    except ValueError as error:
        raise BadSilence(f"{error}: {MATCHER_FIX}") from None
    if all(matcher.operator in ("!=", "!~") for matcher in read):
        raise BadSilence('these matchers silence nearly everything: add one with "=" or "=~"')
    return read


def silence(
    store: AlertStore,
    matchers: Sequence[str],
    author: str,
    reason: str,
    duration: int,
    now: int,
    starts_at: int | None = None,
) -> Silence:
    """Begin a silence for `duration` nanoseconds, at `now` or at a later `starts_at`.

    Raises BadSilence with what is wrong, and the way out.
    """
    read = read_matchers(matchers)
    for name, text in (("author", author), ("reason", reason)):
        if not text.strip() or len(text) > _LONGEST_TEXT or not text.isprintable():
            raise BadSilence(f"{name}: say it in one line of 1 to {_LONGEST_TEXT} characters")
    begins = now if starts_at is None else starts_at
    if not now <= begins <= now + LONGEST:
        raise BadSilence(f"a silence begins now or within {format_duration(LONGEST)}")
    if not NS <= duration <= LONGEST:
        raise BadSilence(f"a silence lasts from a second to {format_duration(LONGEST)}")
    made = Silence(uuid.uuid4().hex[:12], read, author.strip(), reason.strip(), begins, begins + duration)
    store.put_silence(made)
    return made


def expire(store: AlertStore, silence_id: str, now: int) -> Silence:
    """End a silence at `now`; one that was to begin never does. Raises UnknownSilence where it is over already,
    or never was."""
    for known in store.silences(now):
        if known.id == silence_id:
            ended = replace(known, starts_at=min(known.starts_at, now), ends_at=now)
            store.put_silence(ended)
            return ended
    raise UnknownSilence(f"no silence {silence_id!r} is running; `alerts silence list` shows those that are")


def state_of(silence: Silence, now: int) -> SilenceState:
    """Whether it holds at `now`, is to begin, or is over."""
    return "ended" if silence.ends_at <= now else "pending" if silence.starts_at > now else "active"


def mutes(silence: Silence, labels: Mapping[str, str], now: int) -> bool:
    """Whether what bears these labels is not told at `now` because of it."""
    return state_of(silence, now) == "active" and all_match(silence.matchers, labels)
