"""Silences: what matches is not told until they end. A person makes them, with a reason, and never for ever."""

import uuid
from collections.abc import Sequence
from dataclasses import replace

from ordertrace_alerting.durations import NS, format_duration
from ordertrace_alerting.errors import BadSilence, UnknownSilence
from ordertrace_alerting.matchers import MATCHER_FIX, parse_matcher
from ordertrace_alerting.policy import Silence
from ordertrace_alerting.store import AlertStore

LONGEST = 90 * 86_400 * NS
_LONGEST_TEXT = 300  # characters
_MOST_MATCHERS = 20


def silence(
    store: AlertStore, matchers: Sequence[str], author: str, reason: str, duration: int, now: int
) -> Silence:
    """Begin a silence at `now` for `duration` nanoseconds. Raises BadSilence with what is wrong, and the way out."""
    if not 1 <= len(matchers) <= _MOST_MATCHERS:
        raise BadSilence(f"a silence has from 1 to {_MOST_MATCHERS} matchers: {MATCHER_FIX}")
    try:
        read = tuple(parse_matcher(text) for text in matchers)
    except ValueError as error:
        raise BadSilence(f"{error}: {MATCHER_FIX}") from None
    if all(matcher.operator in ("!=", "!~") for matcher in read):
        raise BadSilence('these matchers silence nearly everything: add one with "=" or "=~"')
    for name, text in (("author", author), ("reason", reason)):
        if not text.strip() or len(text) > _LONGEST_TEXT or not text.isprintable():
            raise BadSilence(f"{name}: say it in one line of 1 to {_LONGEST_TEXT} characters")
    if not NS <= duration <= LONGEST:
        raise BadSilence(f"a silence lasts from a second to {format_duration(LONGEST)}")
    made = Silence(uuid.uuid4().hex[:12], read, author.strip(), reason.strip(), now, now + duration)
    store.put_silence(made)
    return made


def expire(store: AlertStore, silence_id: str, now: int) -> Silence:
    """End a silence at `now`. Raises UnknownSilence where none of this id is running."""
    for running in store.silences(now):
        if running.id == silence_id:
            ended = replace(running, ends_at=now)
            store.put_silence(ended)
            return ended
    raise UnknownSilence(f"no silence {silence_id!r} is running; `alerts silence list` shows those that are")
