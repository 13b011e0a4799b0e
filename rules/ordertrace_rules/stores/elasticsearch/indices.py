"""The names and mappings of what ordertrace keeps in Elasticsearch beside the events.

Each document of these indices holds the whole in `document`, which is not indexed, and beside it the columns
that a query reads. Numbers of instants are nanoseconds in `long`, exact and of any age; Kibana reads the
`date_nanos` twins of a journey.
"""

from collections.abc import Mapping
from typing import Any

Mapped = dict[str, Any]

KEYWORD: Mapped = {"type": "keyword", "ignore_above": 8191}
LONG: Mapped = {"type": "long"}
BOOLEAN: Mapped = {"type": "boolean"}
DOUBLE: Mapped = {"type": "double"}
INSTANT: Mapped = {"type": "date_nanos", "ignore_malformed": True}
STORED: Mapped = {"type": "object", "enabled": False}


def _mapping(**properties: Mapped) -> Mapped:
    return {"dynamic": False, "properties": {"document": STORED, **properties}}


KINDS: Mapping[str, Mapped] = {
    "journeys": _mapping(
        id=KEYWORD,
        process=KEYWORD,
        subject=KEYWORD,
        order_ids=KEYWORD,
        current_stage=KEYWORD,
        set_aside=KEYWORD,
        due=LONG,  # next_deadline
        standing_deadline=LONG,  # of the current stage
        last=LONG,  # last_event_at
        is_ended=BOOLEAN,
        passed={  # stages that are done: `journeys_past`
            "type": "nested",
            "properties": {"stage": KEYWORD, "at": LONG},
        },
        known=LONG,  # known_since
        keys={  # every id under which it is found
            "type": "nested",
            "properties": {"value": KEYWORD, "kind": KEYWORD, "order_id": KEYWORD},
        },
        values=KEYWORD,  # the keys' values, for a search by prefix
        stage_deadline=INSTANT,
        next_deadline=INSTANT,
        last_event_at=INSTANT,
        ended_at=INSTANT,
        stages={
            "type": "nested",
            "properties": {
                "id": KEYWORD,
                "state": KEYWORD,
                "started_at": INSTANT,
                "ended_at": INSTANT,
                "seconds": DOUBLE,
            },
        },
    ),
    "members": _mapping(
        id=KEYWORD,
        incident=KEYWORD,
        subject=KEYWORD,
        state=KEYWORD,
        certainty=KEYWORD,
        assumed=BOOLEAN,
        explained=BOOLEAN,
        settled=BOOLEAN,
        since=LONG,
        opened=LONG,
        detected=LONG,
        resolved=LONG,
        amount=DOUBLE,
        currency=KEYWORD,
        missing=KEYWORD,
    ),
    "incidents": _mapping(
        id=KEYWORD,
        playbook=KEYWORD,
        group=KEYWORD,
        episode=LONG,
        state=KEYWORD,
        is_open=BOOLEAN,
        detected=LONG,
        touched=LONG,
        relay=LONG,
    ),
    "bindings": _mapping(
        id=KEYWORD,
        key=KEYWORD,
        target=KEYWORD,
        value=KEYWORD,
        since=LONG,
        issuer=KEYWORD,
    ),
    "state": _mapping(kind=KEYWORD, id=KEYWORD, action=KEYWORD, service=KEYWORD, value=STORED),
    "kept_aside": _mapping(id=KEYWORD, at=LONG, source=KEYWORD, reason=KEYWORD),
    "alerts": _mapping(
        kind=KEYWORD,  # signal | group | delivery | attempt
        id=KEYWORD,
        at=LONG,  # when a signal came, when an attempt was made
        due=LONG,  # of a signal until it is routed, and of a group
        flushed=LONG,
        incidents=KEYWORD,
        group=KEYWORD,
        flush=LONG,
        part=LONG,
        target=KEYWORD,
        created=LONG,
        state=KEYWORD,
        next_attempt=LONG,
        claimed=LONG,  # until when
        hold=LONG,  # until when
        finished=LONG,
        delivery=KEYWORD,  # its own key, or that of the delivery which was attempted
    ),
}

BY_ORDER = frozenset({"journeys", "members", "bindings"})
"""The kinds of which there are about as many documents as orders, or several times so many."""


def index_name(kind: str, namespace: str) -> str:
    """The index of one kind of document, such as `ordertrace.journeys-default`."""
    return f"ordertrace.{kind}-{namespace}"


def event_stream(namespace: str) -> str:
    """The data stream of the events, such as `logs-ordertrace.events-default`."""
    return f"logs-ordertrace.events-{namespace}"
