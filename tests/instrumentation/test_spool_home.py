"""Who takes over what a dead process left: the same role of the same service, wherever its server is now."""

from pathlib import Path
from typing import Any

import pytest

from ordertrace_instrumentation import configure, event, shutdown
from ordertrace_instrumentation.shim import current_shim
from ordertrace_instrumentation.transports import orphans
from ordertrace_instrumentation.transports.orphans import Home
from ordertrace_instrumentation.transports.spool import Spool

ONE = ("forward",)
TWO = ("forward", "forward-2")


def leave(home: Home, entry: bytes) -> None:
    """A process lived there and was killed."""
    spool = Spool(home.folder / "instance", 10_000)
    assert spool.append(entry) == ""
    spool.abandon()


def found(home: Home) -> list[bytes]:
    entries: list[bytes] = []
    while (orphan := home.adopt()) is not None:
        while (batch := orphan.read(10_000)) is not None:
            entries += batch.entries
            orphan.advance(batch)
        orphan.close()
    return entries


def numbers(receiver: Any) -> list[int]:
    return [int(record["labels.number"]) for record in receiver.of("a.b")]


def test_a_service_that_is_sent_to_another_address_delivers_there_what_waited_for_the_first(
    start_receiver: Any, tmp_path: Path, eventually: Any
) -> None:
    silent = start_receiver(answers=False)
    configure("shop", transport=f"forward://127.0.0.1:{silent.port}", spool_dir=tmp_path)
    for number in range(50):
        event("a.b", number=number)
    shutdown(0.05)
    assert current_shim().lost() == {}
    other = start_receiver()
    configure("shop", transport=f"forward://127.0.0.1:{other.port}", spool_dir=tmp_path)
    eventually(lambda: numbers(other) == list(range(50)))
    shutdown()
    eventually(lambda: not list((tmp_path / "shop" / "forward").iterdir()))


def test_of_two_servers_each_gets_what_was_for_its_own_place(tmp_path: Path) -> None:
    first, second = (Home(tmp_path, "shop", role, TWO) for role in TWO)
    leave(first, b"first")
    leave(second, b"second")
    assert found(second) == [b"second"]
    assert found(first) == [b"first"]


@pytest.mark.parametrize("roles", [ONE, ("otlp",), ("otlp", "forward")])
def test_the_first_transport_looks_after_those_that_are_no_longer_there(
    tmp_path: Path, roles: tuple[str, ...]
) -> None:
    leave(Home(tmp_path, "shop", "forward-2", TWO), b"second")
    assert found(Home(tmp_path, "shop", roles[-1], ("none", *roles))) == []
    assert found(Home(tmp_path, "shop", roles[0], roles)) == [b"second"]


def test_what_lies_in_the_earlier_layout_by_the_servers_address_is_delivered_too(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "forward-127.0.0.1-24224" / "instance", 10_000)
    assert spool.append(b"one") == ""
    spool.abandon()
    assert found(Home(tmp_path, "shop", "forward-2", TWO)) == []
    assert found(Home(tmp_path, "shop", "forward", TWO)) == [b"one"]


def test_an_orphan_that_cannot_be_read_is_let_go_for_the_next_who_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path, "shop", "forward", ONE)
    leave(home, b"one")
    orphan = home.adopt()
    assert orphan is not None

    def unreadable(*_: Any) -> Any:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(orphans, "read_segment", unreadable)
        with pytest.raises(OSError, match="Input/output"):
            orphan.close()
    assert found(home) == [b"one"]


def test_another_services_records_are_not_taken(tmp_path: Path) -> None:
    leave(Home(tmp_path, "payment", "forward", ONE), b"secret")
    assert found(Home(tmp_path, "shop", "forward", ONE)) == []
    assert found(Home(tmp_path, "payment", "forward", ONE)) == [b"secret"]


@pytest.mark.parametrize("name", ["..", ".", "a/b", "../../etc", "商店", "x" * 300, "%2E", ".hidden", "a\0b"])
def test_whatever_a_service_is_called_its_folder_lies_in_the_spools_own(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / "spool", name, "forward", ONE)
    assert home.folder.resolve().parent.parent == (tmp_path / "spool").resolve()
    leave(home, b"one")
    assert found(home) == [b"one"]
