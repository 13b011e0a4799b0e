"""Open the store that the settings name."""

from collections.abc import Sequence
from dataclasses import dataclass

from ordertrace_rules.errors import StoreUnavailable
from ordertrace_rules.settings import Settings
from ordertrace_rules.stores.elasticsearch.cluster import FEW_PAUSES, PAUSES, Cluster, connect
from ordertrace_rules.stores.elasticsearch.store import ElasticsearchStore
from ordertrace_rules.stores.elasticsearch.views import ElasticsearchViews
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
    """Open, or make, the store of `settings.store`; its directory has to be there, or its cluster set up.

    Raises StoreUnavailable.
    """
    if settings.store == "memory":
        memory = MemoryStore()
        return OpenStore(memory, MemoryViews(memory))
    if settings.store == "elasticsearch":
        cluster = open_cluster(settings)
        elastic = ElasticsearchStore(cluster)
        return OpenStore(elastic, ElasticsearchViews(elastic))
    directory = settings.sqlite_path.parent
    if not directory.is_dir():
        raise StoreUnavailable(
            f"the directory {directory} for the store does not exist: make it, or set sqlite_path "
            "(ORDERTRACE_SQLITE_PATH) to a file in one that does"
        )
    store = SqliteStore(settings.sqlite_path)
    return OpenStore(store, SqliteViews(store))


def open_cluster(settings: Settings, pauses: Sequence[float] = PAUSES) -> Cluster:
    """The cluster of the settings, once it answers and is set up. Raises StoreUnavailable."""
    cluster = Cluster(connect(settings), settings.es_namespace)
    try:
        cluster.require_setup(pauses)
    except BaseException:
        cluster.client.close()
        raise
    return cluster


def require_store(settings: Settings) -> None:
    """Raises StoreUnavailable where a question would make an empty store, only to find nothing in it, or would
    wait for a cluster that is away."""
    if settings.store == "elasticsearch":
        open_cluster(settings, FEW_PAUSES).client.close()
    if settings.store == "sqlite" and not settings.sqlite_path.exists():
        raise StoreUnavailable(
            f"there is no store at {settings.sqlite_path.absolute()}: set sqlite_path (ORDERTRACE_SQLITE_PATH) to "
            "where it is; `ordertrace ingest` and `ordertrace serve` make one"
        )


def store_place(settings: Settings) -> str:
    """Where the store is, for a person."""
    if settings.store == "elasticsearch":
        return f"{settings.es_url}, namespace {settings.es_namespace}"
    if settings.store == "memory":
        return "memory, which ends with a program"
    return str(settings.sqlite_path.absolute())
