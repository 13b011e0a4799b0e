"""The warehouse: receives outbound orders, picks, packs and hands them to the carrier. It works all the time."""

import logging
import queue
import threading
import time
from dataclasses import dataclass

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from ordertrace_instrumentation import configure, event, link, order
from ordertrace_shop.database import Database
from ordertrace_shop.service import Peer, listen, parse_options

WAREHOUSE = "HGH-1"
CARRIER = "yto"
WALK = 0.005  # seconds from shelf to shelf
PICKERS = 2

log = logging.getLogger("wms.outbound")

SCHEMA = """
CREATE TABLE IF NOT EXISTS shipments (
    id INTEGER PRIMARY KEY, order_no TEXT NOT NULL, sku TEXT NOT NULL, quantity INTEGER NOT NULL,
    address TEXT NOT NULL, waybill TEXT, state TEXT NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Shipment:
    id: str
    number: int
    order_no: str
    sku: str
    address: str


class Warehouse:
    """Shipments by their own number, worked off by pickers in the order of arrival."""

    def __init__(self, database: Database, carrier: Peer) -> None:
        self._database = database
        self._carrier = carrier
        self._to_pick: queue.SimpleQueue[Shipment] = queue.SimpleQueue()

    def receive(self, order_no: str, reservation_id: str, sku: str, quantity: int, address: str) -> Shipment:
        with self._database.transaction() as connection:
            row = connection.execute(
                "INSERT INTO shipments (order_no, sku, quantity, address, state) VALUES (?, ?, ?, ?, 'received')",
                (order_no, sku, quantity, address),
            )
        number = row.lastrowid or 0
        shipment = Shipment(f"OUT-{number:07d}", number, order_no, sku, address)
        with order(order_no):
            link(shipment_id=shipment.id, reservation_id=reservation_id)
            event("wms.received", outcome="success", warehouse=WAREHOUSE, sku=sku)
        self._to_pick.put(shipment)
        return shipment

    def next_to_pick(self) -> Shipment:
        """Wait for the shipment that came first."""
        return self._to_pick.get()

    def pick_for_ever(self) -> None:
        while True:
            shipment = self.next_to_pick()
            try:
                self.send_out(shipment)
            except Exception:
                log.exception("shipment %s could not be sent out", shipment.id)

    def send_out(self, shipment: Shipment) -> None:
        """Pick, pack, book a waybill, hand over: its events go by the shipment's number alone.

        The log call's text has the order number, which the shim finds there by pattern.
        """
        log.info("picking %s for order %s", shipment.id, shipment.order_no)
        time.sleep(WALK)
        self._advance(shipment, "picked")
        event("wms.picked", outcome="success", shipment_id=shipment.id, warehouse=WAREHOUSE)
        time.sleep(WALK)
        self._advance(shipment, "packed")
        event("wms.packed", outcome="success", shipment_id=shipment.id, warehouse=WAREHOUSE)
        answer = self._carrier.post("/waybills", {"address": shipment.address})
        answer.raise_for_status()
        waybill = answer.json()["waybill"]
        self._advance(shipment, "handed_over", waybill)
        event(
            "shipment.handed_over",
            outcome="success",
            shipment_id=shipment.id,
            tracking_no=waybill,
            carrier=CARRIER,
        )

    def _advance(self, shipment: Shipment, state: str, waybill: str | None = None) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE shipments SET state = ?, waybill = ? WHERE id = ?", (state, waybill, shipment.number)
            )


def create_app(warehouse: Warehouse) -> Flask:
    app = Flask("wms")

    @app.post("/outbound")
    def receive() -> ResponseReturnValue:
        asked = request.get_json()
        shipment = warehouse.receive(
            asked["order_no"],
            asked["reservation_id"],
            asked["sku"],
            int(asked["quantity"]),
            asked["address"],
        )
        return jsonify(shipment_id=shipment.id), 202

    return app


def main() -> None:
    options = parse_options("wms", "carrier")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(threadName)s %(message)s")
    configure(service="wms")
    warehouse = Warehouse(Database(options.data / "wms.db", SCHEMA), Peer(options.peers["carrier"]))
    for number in range(PICKERS):
        threading.Thread(target=warehouse.pick_for_ever, name=f"picker-{number}", daemon=True).start()
    listen(create_app(warehouse), options)


if __name__ == "__main__":
    main()
