"""The inventory service: one resource, deductions.

It does one thing at a time behind SQLite's one write lock, waits 50 ms for it, and has no circuit breaker: what
comes while it is busy is refused. Its logging is the standard library's, as JSON.
"""

import logging
import sys

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from ordertrace_instrumentation import EcsFormatter, configure, event, link, order
from ordertrace_shop.service import listen, parse_options
from ordertrace_shop.stock import DeductFailed, Stock

log = logging.getLogger("inventory.deductions")


def create_app(stock: Stock) -> Flask:
    app = Flask("inventory")

    @app.post("/deductions")
    def deduct() -> ResponseReturnValue:
        asked = request.get_json()
        order_no, sku, quantity = asked["order_no"], asked["sku"], int(asked["quantity"])
        with order(order_no):
            try:
                reservation = stock.deduct(order_no, sku, quantity)
            except DeductFailed as failure:
                log.warning("%s", failure)
                event(
                    "inventory.reserve_failed",
                    outcome="failure",
                    reason=failure.reason,
                    message=failure,
                    sku=sku,
                )
                refused = 503 if failure.reason == "lock_timeout" else 409
                return jsonify(error=str(failure), reason=failure.reason), refused
            link(reservation_id=reservation.id)
            event("inventory.reserved", outcome="success", sku=sku)
            return jsonify(reservation_id=reservation.id), 201

    @app.get("/levels")
    def levels() -> ResponseReturnValue:
        return jsonify({sku: {"on_hand": h, "booked": b} for sku, (h, b) in stock.levels().items()})

    return app


def main() -> None:
    options = parse_options("inventory")
    to_stdout = logging.StreamHandler(sys.stdout)
    to_stdout.setFormatter(EcsFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[to_stdout])
    configure(service="inventory")
    listen(create_app(Stock(options.data / "inventory.db")), options)


if __name__ == "__main__":
    main()
