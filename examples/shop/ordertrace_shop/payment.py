"""The payment gateway: authorise with the merchant's order number, then capture by payment id alone.

Its logging is structlog. After the authorisation it never hears of the order again.
"""

import structlog
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from ordertrace_instrumentation import configure, event, link, order, structlog_processor
from ordertrace_shop.database import Database
from ordertrace_shop.service import listen, parse_options

log = structlog.stdlib.get_logger("payment.gateway")

SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    id INTEGER PRIMARY KEY, payment_id TEXT UNIQUE, merchant_order TEXT NOT NULL,
    amount REAL NOT NULL, currency TEXT NOT NULL, state TEXT NOT NULL
);
"""


def create_app(database: Database) -> Flask:
    app = Flask("payment")

    @app.post("/payments")
    def authorise() -> ResponseReturnValue:
        asked = request.get_json()
        with order(asked["merchant_order"]):
            with database.transaction() as connection:
                row = connection.execute(
                    "INSERT INTO payments (merchant_order, amount, currency, state) VALUES (?, ?, ?, ?)",
                    (asked["merchant_order"], asked["amount"], asked["currency"], "authorised"),
                )
                payment = f"pay_{row.lastrowid:08d}"
                connection.execute(
                    "UPDATE payments SET payment_id = ? WHERE id = ?", (payment, row.lastrowid)
                )
            link(payment_id=payment)
            log.info("authorised", amount=asked["amount"], currency=asked["currency"])
            return jsonify(payment_id=payment), 201

    @app.post("/payments/<payment>/capture")
    def capture(payment: str) -> ResponseReturnValue:
        with database.transaction() as connection:
            changed = connection.execute(
                "UPDATE payments SET state = 'captured' WHERE payment_id = ? AND state = 'authorised'",
                (payment,),
            )
        if not changed.rowcount:
            return jsonify(error=f"{payment} is not authorised"), 409
        event("payment.captured", outcome="success", payment_id=payment)
        return jsonify(state="captured")

    return app


def main() -> None:
    options = parse_options("payment")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog_processor,
            structlog.processors.JSONRenderer(),
        ]
    )
    configure(service="payment")
    listen(create_app(Database(options.data / "payment.db", SCHEMA)), options)


if __name__ == "__main__":
    main()
