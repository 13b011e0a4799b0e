"""Recognise an order's number in what a log call says, so that the service's code need not change."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.context import clean_order_id

SEARCHED = 8_192  # characters of a text that are looked at: patterns run inside the service's own call

_OWN_FIELDS = frozenset(
    (ecs.TIMESTAMP, ecs.EVENT_ID, ecs.SERVICE_NAME, ecs.SERVICE_INSTANCE_ID, ecs.EVENT_KIND, ecs.EVENT_ACTION)
)


def find_order_id(record: Mapping[str, Any], patterns: Sequence[re.Pattern[str]]) -> str:
    """The first order number in the record's fields, then in its message; "" if there is none."""
    if not patterns:
        return ""
    message = record.get(ecs.MESSAGE)
    texts = [v for k, v in record.items() if isinstance(v, str) and k not in _OWN_FIELDS and k != ecs.MESSAGE]
    if isinstance(message, str):
        texts.append(message)
    for text in texts:
        for pattern in patterns:
            match = pattern.search(text, 0, SEARCHED)
            if match is not None and (order_id := clean_order_id(_identifier(match))):
                return order_id
    return ""


def _identifier(match: re.Match[str]) -> str | None:
    """The group `order_id`, else the first group, else the whole match."""
    if "order_id" in match.re.groupindex:
        return match["order_id"]
    return match[1] if match.re.groups else match[0]
