"""The five services as one shop, in one process: what they answer, and what becomes of an order."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from flask import Flask

from ordertrace_shop import carrier, inventory, payment, storefront, wms
from ordertrace_shop.carrier import Carrier
from ordertrace_shop.database import Database
from ordertrace_shop.service import Peer
from ordertrace_shop.stock import HOT_SKU, Stock
from ordertrace_shop.storefront import Checkout
from ordertrace_shop.wms import Warehouse

ORDER = {"sku": HOT_SKU, "quantity": 2, "address": "1 West Lake Road"}


class InProcess(Peer):
    """A peer that is called without a network."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.calls = 0

    def post(self, path: str, body: Mapping[str, str | int | float]) -> requests.Response:
        self.calls += 1
        said = self.app.test_client().post(path, json=dict(body))
        answer = requests.Response()
        answer.status_code, answer._content, answer.url = said.status_code, said.data, path
        return answer


@dataclass
class Shop:
    directory: Path
    stock: Stock
    payments: Database
    warehouse: Warehouse
    wms: InProcess
    carrier: Carrier
    storefront: Flask

    def place(self) -> dict[str, str]:
        answer = self.storefront.test_client().post("/orders", json=ORDER)
        assert answer.status_code == 201
        return answer.get_json()

    def payment_states(self) -> list[str]:
        return [row["state"] for row in self.payments.rows("SELECT state FROM payments ORDER BY id")]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    stock = Stock(tmp_path / "inventory.db", history=50, patience=0.01, opening=100)
    payments = Database(tmp_path / "payment.db", payment.SCHEMA)
    parcels = Carrier(tmp_path)
    warehouse = Warehouse(Database(tmp_path / "wms.db", wms.SCHEMA), InProcess(carrier.create_app(parcels)))
    outbound = InProcess(wms.create_app(warehouse))
    checkout = Checkout(
        Database(tmp_path / "storefront.db", storefront.SCHEMA),
        InProcess(payment.create_app(payments)),
        InProcess(inventory.create_app(stock)),
        outbound,
    )
    yield Shop(tmp_path, stock, payments, warehouse, outbound, parcels, storefront.create_app(checkout))


def test_an_order_goes_all_the_way_to_the_carrier(shop: Shop) -> None:
    placed = shop.place()
    assert placed["status"] == "released"
    assert shop.payment_states() == ["captured"]
    assert shop.stock.levels()[HOT_SKU] == (98, 98)
    shop.warehouse.send_out(shop.warehouse.next_to_pick())
    assert shop.carrier.states() == {"BOOKED": 1}


def test_an_order_that_finds_the_stock_locked_is_paid_and_never_reaches_the_warehouse(shop: Shop) -> None:
    with closing(sqlite3.connect(shop.directory / "inventory.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = shop.place()
        other.execute("ROLLBACK")
    assert refused["status"] == "waiting_for_outbound"
    assert shop.payment_states() == ["captured"]
    assert shop.stock.levels()[HOT_SKU] == (100, 100)
    assert shop.wms.calls == 0
    assert shop.place()["status"] == "released", "once the lock is free everything goes well again"
    answer = shop.storefront.test_client().get("/orders")
    assert answer.get_json() == {"released": 1, "waiting_for_outbound": 1}


def test_a_refused_deduction_says_why(shop: Shop) -> None:
    client = inventory.create_app(shop.stock).test_client()
    asked = {"order_no": "SO-1", "sku": HOT_SKU, "quantity": 1}
    with closing(sqlite3.connect(shop.directory / "inventory.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        locked = client.post("/deductions", json=asked)
    assert locked.status_code == 503
    assert locked.get_json() == {"error": "deduct failed: database is locked", "reason": "lock_timeout"}
    sold_out = client.post("/deductions", json=asked | {"quantity": 101})
    assert (sold_out.status_code, sold_out.get_json()["reason"]) == (409, "out_of_stock")
    assert client.post("/deductions", json=asked).status_code == 201


def test_a_payment_is_captured_once_by_its_own_id_alone(shop: Shop) -> None:
    client = payment.create_app(shop.payments).test_client()
    asked = {"merchant_order": "SO-1", "amount": 99.0, "currency": "CNY"}
    payment_id = client.post("/payments", json=asked).get_json()["payment_id"]
    assert client.post(f"/payments/{payment_id}/capture").status_code == 200
    assert client.post(f"/payments/{payment_id}/capture").status_code == 409
    assert client.post("/payments/pay_unknown/capture").status_code == 409


def test_the_carrier_books_no_parcel_without_an_address(shop: Shop) -> None:
    client = carrier.create_app(shop.carrier).test_client()
    assert client.post("/waybills", json={}).status_code == 400
    assert client.post("/waybills", json={"address": "somewhere"}).status_code == 201
