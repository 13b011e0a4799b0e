"""The stock and its ledger: every deduction is proved against the ledger before it is booked."""

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ordertrace_shop.database import Database

HOT_SKU = "SKU-1111"
COLD_SKUS = ("SKU-2001", "SKU-2002", "SKU-2003", "SKU-2004")
OPENING_STOCK = 100_000
HISTORY = 60_000
"""Ledger rows of the years before. Their sum is what a deduction holds the write lock for."""

PATIENCE = 0.1
"""Seconds for which a deduction waits for the write lock."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, on_hand INTEGER NOT NULL CHECK (on_hand >= 0));
CREATE TABLE IF NOT EXISTS ledger (
    id INTEGER PRIMARY KEY, sku TEXT NOT NULL, quantity INTEGER NOT NULL,
    reference TEXT NOT NULL, booked_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS reservations (
    reservation_id TEXT PRIMARY KEY, order_no TEXT NOT NULL UNIQUE, sku TEXT NOT NULL, quantity INTEGER NOT NULL
);
"""


class DeductFailed(Exception):
    """The deduction was not made, and nothing of it was kept. `reason` is a short fixed word."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        super().__init__(f"deduct failed: {detail}")


@dataclass(frozen=True, slots=True)
class Reservation:
    id: str
    sku: str
    quantity: int


class Stock:
    """Stock that is consistent before it is available: a deduction that cannot be proved is refused."""

    def __init__(
        self, path: Path, history: int = HISTORY, patience: float = PATIENCE, opening: int = OPENING_STOCK
    ) -> None:
        self._database = Database(path, SCHEMA, patience)
        if not self._database.rows("SELECT 1 FROM stock LIMIT 1"):
            self._open_books(history, opening)

    def deduct(self, order_no: str, sku: str, quantity: int) -> Reservation:
        """Take `quantity` units of `sku` for an order; a repeated order gets the reservation it has.

        Raises DeductFailed: `lock_timeout` where other deductions held the stock for longer than it waits,
        `out_of_stock`, or `ledger_mismatch` where the ledger does not prove the stock.
        """
        try:
            with self._database.transaction() as connection:
                known = connection.execute(
                    "SELECT reservation_id, sku, quantity FROM reservations WHERE order_no = ?", (order_no,)
                ).fetchone()
                if known is not None:
                    return Reservation(known["reservation_id"], known["sku"], known["quantity"])
                self._prove(connection, sku, quantity)
                return self._book(connection, order_no, sku, quantity)
        except sqlite3.OperationalError as error:
            raise DeductFailed("lock_timeout", str(error)) from error

    def levels(self) -> Mapping[str, tuple[int, int]]:
        """By SKU: units on hand, and the sum of its ledger. They differ only if deductions were lost."""
        rows = self._database.rows(
            "SELECT stock.sku, on_hand, SUM(ledger.quantity) AS booked"
            " FROM stock JOIN ledger ON ledger.sku = stock.sku GROUP BY stock.sku"
        )
        return {row["sku"]: (row["on_hand"], row["booked"]) for row in rows}

    def close(self) -> None:
        self._database.close()

    def _prove(self, connection: sqlite3.Connection, sku: str, quantity: int) -> None:
        """Sum the whole ledger of the SKU, as finance once asked for, with the write lock in hand."""
        found = connection.execute("SELECT on_hand FROM stock WHERE sku = ?", (sku,)).fetchone()
        on_hand = found["on_hand"] if found is not None else 0
        if on_hand < quantity:
            raise DeductFailed("out_of_stock", f"{quantity} of {sku} asked for, {on_hand} on hand")
        booked = connection.execute("SELECT SUM(quantity) FROM ledger WHERE sku = ?", (sku,)).fetchone()[0]
        if booked != on_hand:
            raise DeductFailed("ledger_mismatch", f"{sku}: {on_hand} on hand, {booked} in the ledger")

    def _book(self, connection: sqlite3.Connection, order_no: str, sku: str, quantity: int) -> Reservation:
        row = connection.execute(
            "INSERT INTO ledger (sku, quantity, reference, booked_at) VALUES (?, ?, ?, ?)",
            (sku, -quantity, order_no, time.time()),
        )
        connection.execute("UPDATE stock SET on_hand = on_hand - ? WHERE sku = ?", (quantity, sku))
        reservation = Reservation(f"RSV-{row.lastrowid:08d}", sku, quantity)
        connection.execute(
            "INSERT INTO reservations VALUES (?, ?, ?, ?)", (reservation.id, order_no, sku, quantity)
        )
        return reservation

    def _open_books(self, history: int, opening: int) -> None:
        """Years of movements that come out at the opening stock."""
        skus = (HOT_SKU, *COLD_SKUS)
        movements = [
            (skus[n % len(skus)], 1 if n // len(skus) % 2 else -1, f"{n:07d}", 0.0) for n in range(history)
        ]
        totals = {sku: sum(q for s, q, *_ in movements if s == sku) for sku in skus}
        first = [(sku, opening - totals[sku], "opening", 0.0) for sku in skus]
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT INTO ledger (sku, quantity, reference, booked_at) VALUES (?, ?, ?, ?)",
                first + movements,
            )
            connection.executemany("INSERT INTO stock VALUES (?, ?)", [(sku, opening) for sku in skus])
