"""What of a journey is finished, and since when that has been known as it is: for those who tell others of it."""

from collections.abc import Hashable
from dataclasses import replace

from ordertrace_rules.vocabulary import Journey

WHOLE = ""
"""The name of the journey itself among its parts; the others are named by their stage."""


def finished(journey: Journey) -> dict[str, Hashable]:
    """By name, all that can be said of each finished part: equal where nothing about it has changed.

    A stage is finished when it is done. With the end of the journey everything is: what failed, and what was under
    way and is left out.
    """
    parts: dict[str, Hashable] = {}
    orders, ended_at = journey.order_ids, journey.ended_at
    for stage in journey.stages:
        if stage.state == "done" and stage.ended_at is not None:
            parts[stage.id] = (orders, stage)
        elif ended_at is not None and stage.started_at is not None:
            parts[stage.id] = (orders, stage, ended_at)
    if ended_at is not None:
        failed = tuple(stage.id for stage in journey.stages if stage.state == "failed")
        parts[WHOLE] = (orders, journey.started_at, ended_at, journey.ended_by, failed)
    return parts


def with_known_since(journey: Journey, before: Journey | None, now: int) -> Journey:
    """The journey with `known_since`: as it was before for each part that is as it was, else `now`."""
    parts = finished(journey)
    known = finished(before) if before is not None else {}
    since = before.known_since if before is not None else dict[str, int]()
    return replace(
        journey,
        known_since={
            name: since[name] if name in since and known.get(name) == part else now
            for name, part in parts.items()
        },
    )
