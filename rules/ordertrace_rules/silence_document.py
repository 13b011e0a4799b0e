"""A silence as commands and the API show it."""

from typing import Any

from ordertrace_alerting.policy import Silence
from ordertrace_rules.times import format_instant


def silence_document(silence: Silence) -> dict[str, Any]:
    return {
        "id": silence.id,
        "matchers": [str(matcher) for matcher in silence.matchers],
        "author": silence.author,
        "reason": silence.reason,
        "starts_at": format_instant(silence.starts_at),
        "ends_at": format_instant(silence.ends_at),
    }
