"""The carrier: an old system of another company, without any instrumentation.

It knows waybills and nothing else, and writes plain text with local time to a file of its own. ordertrace tails
that file and turns its lines into events with a mapping (see docs/demo.md).
"""

import logging
import queue
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from ordertrace_shop.database import Database
from ordertrace_shop.service import listen, parse_options

LOCAL_TIME = timezone(timedelta(hours=8))
LEG = 0.3  # seconds from the shelf to the van, and from there to the door

SCHEMA = """
CREATE TABLE IF NOT EXISTS parcels (id INTEGER PRIMARY KEY, waybill TEXT UNIQUE, state TEXT NOT NULL);
"""


class LocalTimeFormatter(logging.Formatter):
    """`2026-11-11T20:00:01.250+08:00 INFO waybill=YT000000000017 status=SIGNED depot=HGH-2`"""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return datetime.fromtimestamp(record.created, LOCAL_TIME).isoformat(timespec="milliseconds")


class Carrier:
    """Books waybills, and a van that brings every parcel to its door after two legs."""

    def __init__(self, data: Path) -> None:
        self._database = Database(data / "carrier.db", SCHEMA)
        self._log = logging.getLogger("carrier.parcels")
        self._on_the_way: queue.SimpleQueue[tuple[float, str, str]] = queue.SimpleQueue()

    def book(self) -> str:
        """Return a new waybill number."""
        with self._database.transaction() as connection:
            row = connection.execute("INSERT INTO parcels (state) VALUES ('BOOKED')")
            waybill = f"YT{row.lastrowid:012d}"
            connection.execute("UPDATE parcels SET waybill = ? WHERE id = ?", (waybill, row.lastrowid))
        self._say(waybill, "BOOKED")
        self._on_the_way.put((time.monotonic() + LEG, waybill, "COLLECTED"))
        return waybill

    def states(self) -> dict[str, int]:
        rows = self._database.rows("SELECT state, COUNT(*) AS n FROM parcels GROUP BY state")
        return {row["state"]: row["n"] for row in rows}

    def drive(self) -> None:
        """Bring parcels on their way, in the order in which they are due, for ever."""
        while True:
            due, waybill, state = self._on_the_way.get()
            time.sleep(max(0.0, due - time.monotonic()))
            with self._database.transaction() as connection:
                connection.execute("UPDATE parcels SET state = ? WHERE waybill = ?", (state, waybill))
            self._say(waybill, state)
            if state == "COLLECTED":
                self._on_the_way.put((time.monotonic() + LEG, waybill, "SIGNED"))

    def _say(self, waybill: str, state: str) -> None:
        self._log.info("waybill=%s status=%s depot=HGH-%d", waybill, state, int(waybill[2:]) % 4)


def create_app(carrier: Carrier) -> Flask:
    app = Flask("carrier")

    @app.post("/waybills")
    def book() -> ResponseReturnValue:
        parcel = request.get_json()
        if not parcel.get("address"):
            return jsonify(error="a waybill needs an address"), 400
        return jsonify(waybill=carrier.book()), 201

    @app.get("/parcels")
    def states() -> ResponseReturnValue:
        return jsonify(carrier.states())

    return app


def main() -> None:
    options = parse_options("carrier")
    to_file = logging.FileHandler(options.data / "carrier.log", encoding="utf-8")
    to_file.setFormatter(LocalTimeFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[to_file])
    carrier = Carrier(options.data)
    threading.Thread(target=carrier.drive, name="van", daemon=True).start()
    listen(create_app(carrier), options)


if __name__ == "__main__":
    main()
