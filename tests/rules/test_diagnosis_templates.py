"""Free text becomes symbols that are the same for many orders."""

from hypothesis import given
from hypothesis import strategies as st

from ordertrace_rules.diagnosis.templates import Miner, is_failure, mask, text_of
from ordertrace_rules.event import Event


def record(message: str, **fields: object) -> Event:
    values: dict[str, object] = {"id": message, "timestamp": 1, "ingested": 1, "service": "inventory"}
    return Event(**{**values, "message": message, **fields})  # type: ignore[arg-type]


def symbols(*messages: str) -> list[str]:
    events = [record(message) for message in messages]
    miner = Miner()
    miner.learn(events)
    return [miner.symbol(event) for event in events]


def test_lines_that_differ_in_ids_times_and_numbers_are_one_symbol() -> None:
    found = symbols(
        "deduct 3 of sku 4711 for 8f14e45f-ceea-4672-950d-1b2f0a1c3d4e at 2026-01-31T09:30:00Z took 12.5 ms",
        "deduct 17 of sku 4712 for 1b2f0a1c-ceea-4672-950d-8f14e45f3d4e at 2026-02-01 10:31:07,123 took 8 ms",
    )
    assert found[0] == found[1]


def test_lines_that_say_different_things_are_different_symbols() -> None:
    found = symbols("stock reserved for order 17", "stock could not be reserved: conflict on order 17")
    assert found[0] != found[1]


def test_a_word_that_varies_within_a_line_becomes_a_gap() -> None:
    found = symbols(
        *(f"sent the parcel of the customer to the town {town}" for town in ("Bonn", "Lyon", "Turin"))
    )
    assert len(set(found)) == 1
    assert found[0].endswith("<*>")


def test_a_place_in_the_code_is_kept_and_tells_lines_apart() -> None:
    found = symbols("ERROR stock.py:31 failed", "ERROR stock.py:97 failed")
    assert found[0] != found[1]


def test_a_container_runtimes_wrapper_is_taken_off() -> None:
    event = record('{"log":"ERROR deduct failed\\n","stream":"stdout","time":"2026-01-31T09:30:00Z"}')
    assert text_of(event) == "ERROR deduct failed"
    assert is_failure(event)


def test_an_action_is_its_own_symbol_and_a_failed_one_another() -> None:
    miner = Miner()
    assert miner.symbol(record("any text", action="wms.received")) == "wms.received"
    assert (
        miner.symbol(record("any text", action="stock.deduct", outcome="failure")) == "stock.deduct (failure)"
    )
    assert (
        miner.symbol(record("", action="inventory.reserve_failed", outcome="failure"))
        == "inventory.reserve_failed"
    )


def test_a_word_of_failure_within_a_text_is_no_failing_record() -> None:
    assert not is_failure(record("INFO no ERROR found", level="info"))
    assert is_failure(record("2026-01-31 ERROR deduct"))
    assert is_failure(record("", outcome="failure"))


@given(st.text(max_size=400))
def test_any_text_has_a_symbol_and_the_same_one_twice(message: str) -> None:
    assert symbols(message, message)[0] == symbols(message)[0] != ""
    assert mask(message) == mask(message)
