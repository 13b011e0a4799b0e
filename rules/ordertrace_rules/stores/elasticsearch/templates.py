"""The bodies of what `ordertrace setup elasticsearch` installs for the events: templates and pipeline.

Pure functions: what goes in is how long events are kept, what comes out is the body of a request. A document
with fields that are not mapped here is stored whole and searched by those that are; none is refused for an
unknown field.
"""

from typing import Any, Final

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.identity import ABSENT_IDS
from ordertrace_rules.stores.elasticsearch.arrival_script import ARRIVAL_SCRIPT
from ordertrace_rules.stores.elasticsearch.indices import KEYWORD, STORED, Mapped
from ordertrace_rules.times import DAY, HOUR, MINUTE, NS

VERSION: Final = 2
"""Of everything installed; raise it with any change to a body here or to `indices.KINDS`."""

MANAGED_BY: Final = "ordertrace"
TEMPLATE: Final = "logs-ordertrace"
SETTINGS_COMPONENT: Final = "logs-ordertrace@settings"
MAPPINGS_COMPONENT: Final = "logs-ordertrace@mappings"
CUSTOM_COMPONENT: Final = "logs-ordertrace@custom"  # the site's own, if it has one
PIPELINE: Final = "ordertrace-arrived"
PATTERN: Final = "logs-ordertrace.*-*"
PRIORITY: Final = 300  # above the built-in logs-*-*, which has 100

ARRIVED: Final = "ordertrace.arrived"
KEYS: Final = "ordertrace.keys"
EXTRA: Final = "ordertrace.extra"

FIELD_LIMIT: Final = 2000  # labels beyond it are stored, not indexed

_LONG: Mapped = {"type": "long", "ignore_malformed": True}
_DOUBLE: Mapped = {"type": "double", "ignore_malformed": True}
_TEXT: Mapped = {"type": "text"}
_INSTANT: Mapped = {"type": "date_nanos", "ignore_malformed": True}

FIELDS: Final[dict[str, Mapped]] = {
    ecs.TIMESTAMP: {"type": "date_nanos"},  # a data stream's may not ignore what is malformed
    ecs.MESSAGE: _TEXT,
    ecs.LOG_LEVEL: KEYWORD,
    ecs.LOG_LOGGER: KEYWORD,
    ecs.SERVICE_NAME: KEYWORD,
    ecs.SERVICE_INSTANCE_ID: KEYWORD,
    ecs.SERVICE_TARGET_NAME: KEYWORD,
    ecs.EVENT_ID: KEYWORD,
    ecs.EVENT_KIND: KEYWORD,
    ecs.EVENT_ACTION: KEYWORD,
    ecs.EVENT_OUTCOME: KEYWORD,
    ecs.EVENT_REASON: KEYWORD,
    ecs.EVENT_DURATION: _LONG,
    ecs.EVENT_SEQUENCE: _LONG,
    ecs.EVENT_INGESTED: _INSTANT,
    ecs.SPAN_NAME: KEYWORD,
    ecs.SPAN_ID: KEYWORD,
    ecs.PARENT_ID: KEYWORD,
    ecs.TRACE_ID: KEYWORD,
    ecs.ERROR_TYPE: KEYWORD,
    ecs.ERROR_MESSAGE: _TEXT,
    ecs.MESSAGE_ID: KEYWORD,
    ecs.MESSAGE_DESTINATION: KEYWORD,
    ecs.MESSAGE_CONSUMER_GROUP: KEYWORD,
    ecs.ORDER_ID: KEYWORD,
    ecs.ORDER_TRACE_ID: KEYWORD,
    ecs.ORDER_STAGE: KEYWORD,
    ecs.ORDER_STATUS: KEYWORD,
    ecs.ORDER_AMOUNT: _DOUBLE,
    ecs.ORDER_CURRENCY: KEYWORD,
    ecs.HEARTBEAT_INTERVAL: _DOUBLE,
    ecs.HEARTBEAT_PHASE: KEYWORD,
    ARRIVED: _INSTANT,
    KEYS: KEYWORD,
    EXTRA: STORED,
}
"""Every field of an event with one name, by its dotted name."""

OPEN_FIELDS: Final[dict[str, Mapped]] = {ecs.ORDER_REFS: KEYWORD, ecs.LABELS: KEYWORD, ecs.LOST: _LONG}
"""Prefixes below which every field is mapped when it is first seen, up to the limit."""


def retention_text(retention: int) -> str:
    """Nanoseconds as Elasticsearch writes them, in the largest unit that holds them; rounded up to seconds."""
    seconds = max(1, -(-retention // NS))
    for unit, length in (("d", DAY // NS), ("h", HOUR // NS), ("m", MINUTE // NS)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def meta() -> dict[str, Any]:
    """What marks a thing as ours."""
    return {"managed_by": MANAGED_BY, "version": VERSION}


def event_mappings() -> dict[str, Any]:
    """The mappings of the events: what is not listed is stored and not indexed."""
    properties: dict[str, Any] = {}
    for name, mapped in FIELDS.items():
        _place(properties, name, mapped)
    for prefix in OPEN_FIELDS:
        # Without subobjects, `labels.a` and `labels.a.b` are two labels and not a conflict.
        _place(properties, prefix.rstrip("."), {"type": "object", "dynamic": True, "subobjects": False})
    return {
        "_meta": meta(),
        "dynamic": False,
        "dynamic_templates": [
            {
                prefix.rstrip("."): {
                    "path_match": f"{prefix}*",
                    "match_mapping_type": "*",
                    "mapping": mapped,
                }
            }
            for prefix, mapped in OPEN_FIELDS.items()
        ],
        "properties": properties,
    }


def event_settings() -> dict[str, Any]:
    """The settings of each backing index of the events."""
    return {
        "index": {
            "mode": "standard",  # logsdb, the default for logs-*, would give back another _source
            "refresh_interval": "1s",
            "auto_expand_replicas": "0-1",
            "final_pipeline": PIPELINE,
            "mapping": {
                "total_fields": {"limit": FIELD_LIMIT, "ignore_dynamic_beyond_limit": True},
            },
        }
    }


def settings_component() -> dict[str, Any]:
    return {"version": VERSION, "_meta": meta(), "template": {"settings": event_settings()}}


def mappings_component() -> dict[str, Any]:
    return {"version": VERSION, "_meta": meta(), "template": {"mappings": event_mappings()}}


def index_template(retention: int, *, failure_store: bool = True) -> dict[str, Any]:
    """The index template of the event data streams, kept for `retention` nanoseconds.

    `failure_store=False` leaves out that the failure store is off, for servers that have none (before 9.1).
    """
    template: dict[str, Any] = {"lifecycle": {"data_retention": retention_text(retention)}}
    if failure_store:
        template["data_stream_options"] = {"failure_store": {"enabled": False}}
    return {
        "version": VERSION,
        "_meta": meta(),
        "index_patterns": [PATTERN],
        "data_stream": {},
        "priority": PRIORITY,
        "composed_of": [MAPPINGS_COMPONENT, SETTINGS_COMPONENT, CUSTOM_COMPONENT],
        "ignore_missing_component_templates": [CUSTOM_COMPONENT],
        "template": template,
    }


def pipeline() -> dict[str, Any]:
    """The final pipeline of the events: when they arrived, and the keys by which they are found."""
    return {
        "version": VERSION,
        "_meta": meta(),
        "description": "ordertrace: when an event arrived, and the keys by which it is found",
        "processors": [
            {
                "script": {
                    "lang": "painless",
                    "source": ARRIVAL_SCRIPT,
                    "params": {
                        "absent": sorted(ABSENT_IDS),
                        "objects": _objects(),
                        "leaves": sorted(set(FIELDS) - {EXTRA, ecs.TIMESTAMP}),
                        "open": sorted(OPEN_FIELDS),
                    },
                }
            }
        ],
    }


def plain_index(mapping: Mapped, shards: int = 1) -> dict[str, Any]:
    """The body that creates one of the plain indices, from its entry in `indices.KINDS`."""
    return {
        "settings": {"index": {"number_of_shards": shards, "auto_expand_replicas": "0-1"}},
        "mappings": {**mapping, "_meta": meta()},
    }


def _place(properties: dict[str, Any], name: str, mapped: Mapped) -> None:
    *parents, leaf = name.split(".")
    for parent in parents:
        properties = properties.setdefault(parent, {"properties": {}})["properties"]
    properties[leaf] = mapped


def _objects() -> list[str]:
    """The names that are objects in the mappings: `order`, `order.refs`, `messaging.message`, …"""
    names = [*FIELDS, *(f"{prefix}x" for prefix in OPEN_FIELDS)]
    parents = {name.rsplit(".", depth)[0] for name in names for depth in range(1, name.count(".") + 1)}
    return sorted(parents)
