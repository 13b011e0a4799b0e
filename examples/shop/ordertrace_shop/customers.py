"""Customers: so many threads, each of which places its next order once the last one is answered."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ordertrace_shop.service import Peer
from ordertrace_shop.stock import COLD_SKUS, HOT_SKU

PROMOTION = "double-eleven"


@dataclass(frozen=True, slots=True)
class Wish:
    sku: str
    promotion: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """An answered order. `status` is the storefront's."""

    order_no: str
    status: str
    promotion: str


def calm(orders: int) -> list[Wish]:
    """An ordinary day: every SKU in turn."""
    skus = (HOT_SKU, *COLD_SKUS)
    return [Wish(skus[n % len(skus)]) for n in range(orders)]


def promotion(orders: int) -> list[Wish]:
    """The promotion: four of five orders are for the one SKU that is on offer."""
    return [
        Wish(COLD_SKUS[n % len(COLD_SKUS)]) if n % 5 == 4 else Wish(HOT_SKU, PROMOTION) for n in range(orders)
    ]


def shop(storefront: Peer, wishes: Sequence[Wish], clients: int, placed: Callable[[Placed], None]) -> None:
    """Place all orders with `clients` at a time; `placed` is called for each, from one thread at a time.

    Raises the first error that a customer met, such as requests.RequestException.
    """
    queue, lock, errors = iter(wishes), threading.Lock(), list[BaseException]()

    def customer() -> None:
        try:
            for wish in _take(queue, lock):
                answer = storefront.post("/orders", _basket(wish))
                answer.raise_for_status()
                body = answer.json()
                with lock:
                    placed(Placed(body["order_no"], body["status"], wish.promotion))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=customer, name=f"customer-{n}", daemon=True) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _take(wishes: Iterator[Wish], lock: threading.Lock) -> Iterator[Wish]:
    while True:
        with lock:
            wish = next(wishes, None)
        if wish is None:
            return
        yield wish


def _basket(wish: Wish) -> dict[str, object]:
    return {"sku": wish.sku, "quantity": 1, "address": "1 West Lake Road", "promotion": wish.promotion}
