"""The stock's promise: consistent before available. Deductions fail of contention alone, and lose nothing."""

import threading
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertrace_shop.stock import COLD_SKUS, HOT_SKU, DeductFailed, Stock

CLIENTS = 12
EACH = 5
LEDGER = 120_000


def rush(stock: Stock) -> Counter[str]:
    """Twelve clients deduct at the same time; how their deductions ended."""
    outcomes: list[str] = []
    start = threading.Barrier(CLIENTS)

    def client(number: int) -> None:
        start.wait()
        for n in range(EACH):
            try:
                stock.deduct(f"SO-{number}-{n}", HOT_SKU, 1)
                outcomes.append("reserved")
            except DeductFailed as failure:
                outcomes.append(failure.reason)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(outcomes)


def test_one_client_alone_is_never_refused(tmp_path: Path) -> None:
    stock = Stock(tmp_path / "stock.db", history=LEDGER, patience=0.01)
    ids = {stock.deduct(f"SO-{n}", HOT_SKU, 1).id for n in range(60)}
    assert len(ids) == 60


def test_clients_at_the_same_time_are_refused_and_the_books_still_balance(tmp_path: Path) -> None:
    stock = Stock(tmp_path / "stock.db", history=LEDGER, patience=0.01, opening=1000)
    outcomes = rush(stock)
    assert set(outcomes) == {"reserved", "lock_timeout"}, "some succeed, and all that fail fail of the lock"
    assert stock.levels()[HOT_SKU] == (1000 - outcomes["reserved"], 1000 - outcomes["reserved"])


def test_the_same_rush_succeeds_where_deductions_may_wait(tmp_path: Path) -> None:
    stock = Stock(tmp_path / "stock.db", history=LEDGER, patience=60)
    assert rush(stock) == {"reserved": CLIENTS * EACH}


def test_stock_is_never_sold_twice(tmp_path: Path) -> None:
    stock = Stock(tmp_path / "stock.db", history=10, patience=60, opening=20)
    assert rush(stock) == {"reserved": 20, "out_of_stock": CLIENTS * EACH - 20}
    assert stock.levels()[HOT_SKU] == (0, 0)


def test_a_repeated_order_keeps_the_reservation_it_has(tmp_path: Path) -> None:
    stock = Stock(tmp_path / "stock.db", history=10, opening=20)
    assert stock.deduct("SO-1", HOT_SKU, 3) == stock.deduct("SO-1", HOT_SKU, 3)
    assert stock.levels()[HOT_SKU] == (17, 17)


def test_books_that_do_not_balance_refuse_the_deduction(tmp_path: Path) -> None:
    stock = Stock(tmp_path / "stock.db", history=10, opening=20)
    with stock._database.transaction() as connection:
        connection.execute("UPDATE stock SET on_hand = 21 WHERE sku = ?", (HOT_SKU,))
    with pytest.raises(DeductFailed) as refused:
        stock.deduct("SO-1", HOT_SKU, 1)
    assert refused.value.reason == "ledger_mismatch"
    stock.deduct("SO-2", COLD_SKUS[0], 1)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 15), st.sampled_from([HOT_SKU, *COLD_SKUS, "SKU-UNKNOWN"]), st.integers(1, 9)
        ),
        max_size=25,
    )
)
def test_the_stock_is_what_the_reservations_left(asked: list[tuple[int, str, int]]) -> None:
    left = dict.fromkeys((HOT_SKU, *COLD_SKUS), 12)
    reserved: dict[str, tuple[str, int]] = {}
    with TemporaryDirectory() as directory:
        stock = Stock(Path(directory) / "stock.db", history=20, opening=12)
        for number, sku, quantity in asked:
            order_no = f"SO-{number}"
            try:
                reservation = stock.deduct(order_no, sku, quantity)
            except DeductFailed as failure:
                assert failure.reason == "out_of_stock" and left.get(sku, 0) < quantity
                continue
            if order_no not in reserved:
                left[sku] -= quantity
            assert (reservation.sku, reservation.quantity) == reserved.setdefault(order_no, (sku, quantity))
        assert stock.levels() == {sku: (n, n) for sku, n in left.items()}
        stock.close()
