"""Every backend that keeps the contract: a new one joins with one more entry in BACKENDS."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ordertrace_rules.stores.memory import MemoryStore, MemoryViews
from ordertrace_rules.stores.opening import OpenStore
from ordertrace_rules.stores.protocol import Store, Views
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.stores.sqlite_views import SqliteViews


def open_memory(directory: Path) -> OpenStore:
    store = MemoryStore()
    return OpenStore(store, MemoryViews(store))


def open_sqlite(directory: Path) -> OpenStore:
    store = SqliteStore(directory / "store.db")
    return OpenStore(store, SqliteViews(store))


BACKENDS: dict[str, Callable[[Path], OpenStore]] = {"memory": open_memory, "sqlite": open_sqlite}


@pytest.fixture(params=BACKENDS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    opened = BACKENDS[request.param](tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def store(opened: OpenStore) -> Store:
    return opened.store


@pytest.fixture
def views(opened: OpenStore) -> Views:
    return opened.views
