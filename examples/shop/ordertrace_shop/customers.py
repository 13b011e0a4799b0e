"""Customers: so many threads, each of which places its next order once the last one is answered."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import httpx

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


def shop(storefront: str, wishes: Sequence[Wish], clients: int, placed: Callable[[Placed], None]) -> None:
    """Place all orders at the URL `storefront`, `clients` at a time.

    `placed` is called for each answer, from one thread at a time. Raises the first error that a customer met:
    httpx.HTTPError. Interrupted, it lets the orders under way end.
    """
    queue, lock, closing = iter(wishes), threading.Lock(), threading.Event()
    errors: list[httpx.HTTPError] = []

    def customer(client: httpx.Client) -> None:
        try:
            for wish in _take(queue, lock, closing):
                answer = client.post("/orders", json=_basket(wish)).raise_for_status().json()
                with lock:
                    placed(Placed(answer["order_no"], answer["status"], wish.promotion))
        except httpx.HTTPError as error:
            errors.append(error)
            closing.set()

    limits = httpx.Limits(max_connections=clients)
    with httpx.Client(base_url=storefront, timeout=30, trust_env=False, limits=limits) as client:
        threads = [threading.Thread(target=customer, args=(client,), daemon=True) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            _join(threads)
        finally:
            closing.set()
            _join(threads)
    if errors:
        raise errors[0]


def _join(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.join()


def _take(wishes: Iterator[Wish], lock: threading.Lock, closing: threading.Event) -> Iterator[Wish]:
    while not closing.is_set():
        with lock:
            wish = next(wishes, None)
        if wish is None:
            return
        yield wish


def _basket(wish: Wish) -> dict[str, object]:
    return {"sku": wish.sku, "quantity": 1, "address": "1 West Lake Road", "promotion": wish.promotion}
