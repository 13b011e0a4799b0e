"""Events as the documents of the data stream, and back.

What the mapping knows stands at the top, in dotted keys, for searches and Kibana. What it does not know is kept
under `ordertrace.extra`, which is not indexed: a field of a strange type must not make Elasticsearch refuse the
record. Documents that Fluentd wrote have no such field and are read as they are.
"""

from collections.abc import Mapping
from typing import Any

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules.aliases import keys_of
from ordertrace_rules.errors import RecordError
from ordertrace_rules.event import Event, flatten
from ordertrace_rules.stores.codec import DocumentError
from ordertrace_rules.stores.database import plain
from ordertrace_rules.stores.elasticsearch.cluster import Hit
from ordertrace_rules.stores.elasticsearch.templates import ARRIVED, EXTRA, FIELDS, KEYS
from ordertrace_rules.times import parse_instant


def event_document(event: Event) -> dict[str, Any]:
    """The document of an event; its `_id` is the event's id."""
    document = event.to_document()
    aside = {name for name in event.extra if name not in FIELDS and not name.startswith(ecs.LOST)}
    aside |= {name for name in document if not _is_field_name(name)}
    extra = {name: document.pop(name) for name in aside}
    document[KEYS] = [plain(key) for key in dict.fromkeys(keys_of(event))]
    if extra:
        document[EXTRA] = extra
    return document


def safe_document(event: Event) -> dict[str, Any]:
    """The document of an event that the cluster refused: all but its time and its keys is out of the mapping."""
    document = event_document(event)
    extra = {**document.pop(EXTRA, {})}
    kept = (ecs.TIMESTAMP, ecs.EVENT_INGESTED, ecs.EVENT_ID, KEYS)
    extra |= {name: document.pop(name) for name in list(document) if name not in kept}
    return {**document, EXTRA: extra}


def _is_field_name(name: str) -> bool:
    """Whether Elasticsearch takes it for a path of fields."""
    return all(part.strip() for part in name.split("."))


def read_event(hit: Hit) -> Event:
    """The event of a document, of ours or of Fluentd's. Raises DocumentError."""
    source: Mapping[str, Any] = hit.source
    flat = dict(flatten({key: value for key, value in source.items() if key != EXTRA}))
    flat.update(source.get(EXTRA) or {})
    arrived = flat.pop(ARRIVED, None)
    flat.pop(KEYS, None)
    flat.setdefault(ecs.EVENT_ID, hit.id)
    try:
        received = parse_instant(arrived) if isinstance(arrived, str) else 0
        return Event.from_document(flat, received=received)
    except (RecordError, ValueError) as error:
        raise DocumentError(f"event {hit.id}: {error}") from None


def arrived_at(hit: Hit) -> int:
    """When the document was indexed, by the clock of the node that did it."""
    return parse_instant(dict(flatten({k: v for k, v in hit.source.items() if k != EXTRA}))[ARRIVED])
