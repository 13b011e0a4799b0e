"""What leaves the service: fields that may and may not, fields of which only a hash may, and how long texts are.

Applied to each record before it is shipped; the service's own log files are its own affair.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.record import MAX_MESSAGE, MAX_VALUE, Record

NEEDED = frozenset(
    {
        *(ecs.TIMESTAMP, ecs.SERVICE_NAME, ecs.SERVICE_INSTANCE_ID, ecs.EVENT_ID, ecs.EVENT_KIND),
        *(ecs.EVENT_ACTION, ecs.EVENT_OUTCOME, ecs.EVENT_SEQUENCE, ecs.ORDER_ID, ecs.ORDER_TRACE_ID),
    }
)
"""Without these a record says nothing of an order: no list takes them out. Ids of orders may be hashed by nobody here,
for every system has to name the same one."""

_HASH_LENGTH = 32  # hex digits


@dataclass(frozen=True, slots=True)
class Privacy:
    """Names of fields as ECS writes them (`labels.email`, `message`); `labels.*` is all that begin so.

    With `allow` nothing else leaves, but for what is needed and heartbeats; `deny` goes before it; a field of
    `hashed` becomes `hmac:` and the HMAC-SHA256 of its text under `hash_key`. Lengths are in characters.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    hash_key: str = field(default="", repr=False)
    max_message: int = MAX_MESSAGE
    max_label: int = MAX_VALUE

    @property
    def is_default(self) -> bool:
        return self == Privacy()

    def applied(self, record: Record) -> Record:
        """A record with what may leave; the one given stays as it is."""
        kept: Record = {}
        for name, value in record.items():
            if not self._may_leave(name):
                continue
            if value is not None and name not in NEEDED and _listed(name, self.hashed):
                value = self._hash(str(value))
            elif type(value) is str:
                limit = self.max_message if name == ecs.MESSAGE else self.max_label
                if len(value) > limit and (name == ecs.MESSAGE or name.startswith(ecs.LABELS)):
                    value = f"{value[:limit]}… [cut: {len(value)} characters]"
            kept[name] = value
        return kept

    def _may_leave(self, name: str) -> bool:
        if name in NEEDED or name.startswith((ecs.LOST, "ordertrace.heartbeat.")):
            return True
        return not _listed(name, self.deny) and (not self.allow or _listed(name, self.allow))

    def _hash(self, text: str) -> str:
        digest = hmac.new(self.hash_key.encode(), text.encode("utf-8", "replace"), hashlib.sha256)
        return "hmac:" + digest.hexdigest()[:_HASH_LENGTH]


@lru_cache(maxsize=4096)
def _listed(name: str, patterns: tuple[str, ...]) -> bool:
    return any(
        name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern for pattern in patterns
    )


def read_names(given: Iterable[object]) -> tuple[str, ...]:
    """Names of fields as they are configured. Raises ValueError for one that is none."""
    names = tuple(str(name).strip() for name in given)
    for name in names:
        if not name or "*" in name[:-1] or any(c.isspace() for c in name):
            raise ValueError(f"{name!r:.80} is no field's name, such as labels.email or labels.*")
    return names
