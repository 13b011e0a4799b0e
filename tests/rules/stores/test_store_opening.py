"""The settings choose the store."""

from pathlib import Path

import pytest

from ordertrace_rules.errors import StoreUnavailable
from ordertrace_rules.settings import load_settings
from ordertrace_rules.stores.memory import MemoryStore, MemoryViews
from ordertrace_rules.stores.opening import open_store
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.stores.sqlite_views import SqliteViews
from ordertrace_rules.vocabulary import Journey


def config(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "ordertrace.yaml"
    file.write_text(text)
    return file


def test_a_sqlite_store_is_made(tmp_path: Path) -> None:
    settings = load_settings(config(tmp_path, "store: sqlite\nsqlite_path: store.db\n"), {})
    opened = open_store(settings)
    assert isinstance(opened.store, SqliteStore)
    assert isinstance(opened.views, SqliteViews)
    assert (tmp_path / "store.db").is_file()
    opened.close()
    with pytest.raises(StoreUnavailable):
        opened.store.count_events()


def test_the_views_show_what_the_store_holds(tmp_path: Path) -> None:
    opened = open_store(load_settings(config(tmp_path, "store: memory\n"), {}))
    assert isinstance(opened.store, MemoryStore)
    assert isinstance(opened.views, MemoryViews)
    opened.store.put_journey(Journey("p", "SO-1", ("SO-1",), ()), None)
    assert [hit.order_id for hit in opened.views.orders("SO-1")] == ["SO-1"]
    opened.close()


def test_a_missing_directory_is_named_and_not_made(tmp_path: Path) -> None:
    settings = load_settings(config(tmp_path, "sqlite_path: new/store.db\n"), {})
    with pytest.raises(StoreUnavailable, match=r"the directory .*new for the store does not exist"):
        open_store(settings)
    assert not (tmp_path / "new").exists()
