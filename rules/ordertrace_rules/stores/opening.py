"""Open the store that the settings name."""

from dataclasses import dataclass

from ordertrace_rules.errors import StoreUnavailable
from ordertrace_rules.settings import Settings
from ordertrace_rules.stores.memory import MemoryStore, MemoryViews
from ordertrace_rules.stores.protocol import Store, Views
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.stores.sqlite_views import SqliteViews


@dataclass(frozen=True, slots=True)
class OpenStore:
    """A store, and what pages read of it."""

    store: Store
    views: Views

    def close(self) -> None:
        self.store.close()


def open_store(settings: Settings) -> OpenStore:
    """Open, or make, the store of `settings.store`. Raises StoreUnavailable."""
    if settings.store == "memory":
        memory = MemoryStore()
        return OpenStore(memory, MemoryViews(memory))
    directory = settings.sqlite_path.parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(
            f"the directory {directory} for the store cannot be made: {error.strerror}; set another sqlite_path"
        ) from error
    store = SqliteStore(settings.sqlite_path)
    return OpenStore(store, SqliteViews(store))
