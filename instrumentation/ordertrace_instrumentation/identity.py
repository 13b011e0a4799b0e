"""The order's own trace id: every system computes the same one from the order id alone.

No header has to be passed on for it: the shop, Fluentd, an ingest pipeline and a Java service that have
never spoken to each other arrive at the same 32 hex digits.
"""

import hashlib
import unicodedata
from functools import lru_cache

DEFAULT_NAMESPACE = "ordertrace"
MAX_ORDER_ID = 256  # characters; longer text is no order's number
ABSENT_IDS = frozenset({"", "-", "null", "none", "nil", "undefined", "nan", "n/a"})
"""What programs write where they have no order id, in lower case."""


def normalise_order_id(order_id: str) -> str:
    """Trim white space and apply Unicode NFKC, so that full-width digits mean the same order. Case is kept."""
    return unicodedata.normalize("NFKC", order_id).strip()


@lru_cache(maxsize=8192)
def order_trace_id(order_id: str, namespace: str = DEFAULT_NAMESPACE) -> str:
    """Return `order.trace_id`: 32 lower-case hex digits, a valid W3C trace id.

    The first 16 bytes of SHA-256 over `namespace + "\\n" + order id` in UTF-8, the id normalised by
    `normalise_order_id`. Lone surrogates, which UTF-8 cannot carry, count as `?`.
    """
    text = f"{namespace}\n{normalise_order_id(order_id)}"
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
