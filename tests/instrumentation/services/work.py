"""What each of these services does, whatever its framework: says that it saw a request, places an order, streams."""

import hashlib
import logging
from collections.abc import Iterator
from typing import Any

from ordertrace_instrumentation import adopt_order, configure, current_order_id, event

configure(capture_logging=True)
logger = logging.getLogger("shop")
logger.setLevel(logging.INFO)
logger.addHandler(logging.NullHandler())


def seen() -> dict[str, Any]:
    event("stock.checked")
    return {"order": current_order_id()}


def place(cart: str) -> dict[str, Any]:
    """The order's number exists only in the middle of the request."""
    logger.info("cart %s checked", cart)
    adopt_order(f"NEW-{cart}")
    event("order.placed", cart=cart)
    return {"order": current_order_id()}


def checkout(cart: str) -> dict[str, Any]:
    """A service that knows nothing of us: the order's number stands in its answer alone."""
    logger.info("cart %s paid", cart)
    return {"order": {"number": f"MADE-{cart}"}, "cart": cart}


def steps() -> Iterator[bytes]:
    for number in range(3):
        event("row.sent", number=number)
        yield f"{number}\n".encode()


def digest(body: bytes) -> dict[str, Any]:
    return {"size": len(body), "sha256": hashlib.sha256(body).hexdigest(), "order": current_order_id()}
