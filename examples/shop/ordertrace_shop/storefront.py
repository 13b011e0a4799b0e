"""The storefront: takes an order and leads it through payment, inventory and the warehouse.

A paid order waits for outbound until its stock is deducted. Where the deduction fails the storefront notes that
and goes on selling: nothing in here tries again or holds back.
"""

import logging
from dataclasses import dataclass
from datetime import date

import requests
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from ordertrace_instrumentation import OrderFormatter, configure, event, link, order
from ordertrace_shop.database import Database
from ordertrace_shop.service import Peer, listen, parse_options

CURRENCY = "CNY"
UNIT_PRICE = 99.0

log = logging.getLogger("storefront.checkout")

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY, order_no TEXT UNIQUE, sku TEXT NOT NULL, quantity INTEGER NOT NULL,
    amount REAL NOT NULL, status TEXT NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Basket:
    sku: str
    quantity: int
    address: str
    promotion: str


class Checkout:
    """One call takes an order through all that happens while the customer waits."""

    def __init__(self, database: Database, payment: Peer, inventory: Peer, wms: Peer) -> None:
        self._database = database
        self._payment = payment
        self._inventory = inventory
        self._wms = wms

    def place(self, basket: Basket) -> tuple[str, str]:
        """Return the order number and its status: `payment_failed`, `waiting_for_outbound` or `released`."""
        amount = basket.quantity * UNIT_PRICE
        order_no = self._new_order(basket, amount)
        with order(order_no):
            event(
                "order.placed",
                outcome="success",
                amount=amount,
                currency=CURRENCY,
                status="placed",
                sku=basket.sku,
                promotion=basket.promotion or None,
                channel="web",
            )
            if not self._pay(order_no, amount):
                return order_no, self._set_status(order_no, "payment_failed")
            self._set_status(order_no, "waiting_for_outbound")
            reservation_id = self._deduct(order_no, basket)
            if reservation_id is None or not self._release(order_no, reservation_id, basket):
                return order_no, "waiting_for_outbound"
            event("order.released", outcome="success", status="released")
            return order_no, self._set_status(order_no, "released")

    def statuses(self) -> dict[str, int]:
        rows = self._database.rows("SELECT status, COUNT(*) AS n FROM orders GROUP BY status")
        return {row["status"]: row["n"] for row in rows}

    def _new_order(self, basket: Basket, amount: float) -> str:
        with self._database.transaction() as connection:
            row = connection.execute(
                "INSERT INTO orders (sku, quantity, amount, status) VALUES (?, ?, ?, 'placed')",
                (basket.sku, basket.quantity, amount),
            )
            order_no = f"SO-{date.today():%Y%m%d}-{row.lastrowid:05d}"
            connection.execute("UPDATE orders SET order_no = ? WHERE id = ?", (order_no, row.lastrowid))
        return order_no

    def _pay(self, order_no: str, amount: float) -> bool:
        try:
            asked = {"merchant_order": order_no, "amount": amount, "currency": CURRENCY}
            payment_id = _created(self._payment.post("/payments", asked))["payment_id"]
            self._payment.post(f"/payments/{payment_id}/capture", {}).raise_for_status()
        except requests.RequestException as error:
            log.error("payment of %s failed: %s", order_no, error)
            return False
        link(payment_id=payment_id)
        event("order.paid", outcome="success", status="waiting_for_outbound")
        return True

    def _deduct(self, order_no: str, basket: Basket) -> str | None:
        asked = {"order_no": order_no, "sku": basket.sku, "quantity": basket.quantity}
        try:
            answer = self._inventory.post("/deductions", asked)
        except requests.RequestException as error:
            log.warning("inventory did not answer: %s", error)
            return None
        if not answer.ok:
            log.warning("inventory answered %d: deduct failed", answer.status_code)
            return None
        return answer.json()["reservation_id"]

    def _release(self, order_no: str, reservation_id: str, basket: Basket) -> bool:
        asked = {
            "order_no": order_no,
            "reservation_id": reservation_id,
            "sku": basket.sku,
            "quantity": basket.quantity,
            "address": basket.address,
        }
        try:
            _created(self._wms.post("/outbound", asked))
        except requests.RequestException as error:
            log.error("the warehouse did not take the order: %s", error)
            return False
        return True

    def _set_status(self, order_no: str, status: str) -> str:
        with self._database.transaction() as connection:
            connection.execute("UPDATE orders SET status = ? WHERE order_no = ?", (status, order_no))
        return status


def _created(answer: requests.Response) -> dict[str, str]:
    answer.raise_for_status()
    return answer.json()


def create_app(checkout: Checkout) -> Flask:
    app = Flask("storefront")

    @app.post("/orders")
    def place() -> ResponseReturnValue:
        asked = request.get_json()
        basket = Basket(asked["sku"], int(asked["quantity"]), asked["address"], asked.get("promotion", ""))
        order_no, status = checkout.place(basket)
        return jsonify(order_no=order_no, status=status), 201

    @app.get("/orders")
    def statuses() -> ResponseReturnValue:
        return jsonify(checkout.statuses())

    return app


def main() -> None:
    options = parse_options("storefront", "payment", "inventory", "wms")
    to_stderr = logging.StreamHandler()
    to_stderr.setFormatter(OrderFormatter("%(asctime)s %(levelname)s %(name)s [%(order_id)s] %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[to_stderr])
    configure(service="storefront")
    database = Database(options.data / "storefront.db", SCHEMA)
    peers = (Peer(options.peers[name]) for name in ("payment", "inventory", "wms"))
    listen(create_app(Checkout(database, *peers)), options)


if __name__ == "__main__":
    main()
