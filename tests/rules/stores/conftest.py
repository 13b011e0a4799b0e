"""Every backend that keeps the contract: a new one joins with one more entry in BACKENDS."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from ordertrace_rules.stores.elasticsearch.cluster import Cluster
from ordertrace_rules.stores.elasticsearch.removal import remove
from ordertrace_rules.stores.elasticsearch.setup import install
from ordertrace_rules.stores.elasticsearch.store import ElasticsearchStore
from ordertrace_rules.stores.elasticsearch.views import ElasticsearchViews
from ordertrace_rules.stores.memory import MemoryStore, MemoryViews
from ordertrace_rules.stores.opening import OpenStore
from ordertrace_rules.stores.protocol import Store, Views
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.stores.sqlite_views import SqliteViews
from ordertrace_rules.times import DAY

Request = pytest.FixtureRequest


def open_memory(request: Request) -> OpenStore:
    store = MemoryStore()
    return OpenStore(store, MemoryViews(store))


def open_sqlite(request: Request) -> OpenStore:
    directory: Path = request.getfixturevalue("tmp_path")
    store = SqliteStore(directory / "store.db")
    return OpenStore(store, SqliteViews(store))


def open_elasticsearch(request: Request) -> OpenStore:
    cluster: Cluster = request.getfixturevalue("emptied_cluster")
    store = ElasticsearchStore(cluster)
    return OpenStore(store, ElasticsearchViews(store))


BACKENDS: dict[str, Callable[[Request], OpenStore]] = {
    "memory": open_memory,
    "sqlite": open_sqlite,
    "elasticsearch": open_elasticsearch,
}


@pytest.fixture(scope="session")
def cluster_namespace(elasticsearch_url: str) -> Iterator[tuple[str, str]]:
    """The address, and a namespace that this process has for itself; all that it holds goes at the end."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "one")
    namespace = f"{worker}_{uuid.uuid4().hex[:8]}"
    client = Elasticsearch(elasticsearch_url, request_timeout=60)
    install(client, namespace, 90 * DAY, shards=2)  # what holds on several shards holds on one
    yield elasticsearch_url, namespace
    remove(client, namespace)
    client.close()


@pytest.fixture
def emptied_cluster(cluster_namespace: tuple[str, str]) -> Iterator[Cluster]:
    url, namespace = cluster_namespace
    client = Elasticsearch(url, request_timeout=20, max_retries=0)
    everything = f"ordertrace.*-{namespace},logs-ordertrace.events-{namespace}"
    client.indices.refresh(index=everything)
    client.delete_by_query(index=everything, query={"match_all": {}}, conflicts="proceed", refresh=True)
    yield Cluster(client, namespace)
    client.close()


@pytest.fixture(params=BACKENDS)
def opened(request: Request) -> Iterator[OpenStore]:
    opened = BACKENDS[request.param](request)
    yield opened
    opened.close()


@pytest.fixture
def store(opened: OpenStore) -> Store:
    return opened.store


@pytest.fixture
def views(opened: OpenStore) -> Views:
    return opened.views
