"""What one process does and another sees at once, on a real server: a rollover, a lease that is handed over.

The indices of these tests are refreshed by nobody but the store: what is seen is not seen by chance.
"""

import uuid
from collections.abc import Iterator

import pytest
from elasticsearch import Elasticsearch

from ordertrace_rules.event import Event
from ordertrace_rules.scheduler import Lease
from ordertrace_rules.stores.elasticsearch.cluster import Cluster
from ordertrace_rules.stores.elasticsearch.removal import remove
from ordertrace_rules.stores.elasticsearch.setup import install
from ordertrace_rules.stores.elasticsearch.store import ElasticsearchStore
from ordertrace_rules.times import DAY
from ordertrace_rules.vocabulary import Incident, Member


@pytest.fixture(scope="module")
def own_namespace(elasticsearch_url: str) -> Iterator[Cluster]:
    namespace = f"handover_{uuid.uuid4().hex[:10]}"
    client = Elasticsearch(elasticsearch_url, request_timeout=60)
    install(client, namespace, 90 * DAY)
    yield Cluster(client, namespace)
    remove(client, namespace)
    client.close()


@pytest.fixture
def ours(own_namespace: Cluster) -> Cluster:
    client = own_namespace.client
    everything = f"ordertrace.*-{own_namespace.namespace},{own_namespace.events}"
    client.indices.put_settings(index=everything, settings={"index.refresh_interval": "-1"})
    client.indices.refresh(index=everything)
    client.delete_by_query(index=everything, query={"match_all": {}}, conflicts="proceed", refresh=True)
    return Cluster(client, own_namespace.namespace)


def another(cluster: Cluster) -> ElasticsearchStore:
    """Of another process."""
    return ElasticsearchStore(Cluster(cluster.client, cluster.namespace))


def events(start: int, count: int) -> list[Event]:
    return [
        Event(id=f"e-{n}", timestamp=1, ingested=2, order_id=f"SO-{n}") for n in range(start, start + count)
    ]


def test_after_a_rollover_a_running_process_looks_into_the_older_index(ours: Cluster) -> None:
    store = ElasticsearchStore(ours)
    assert store.append(events(0, 20)).new == 20
    another(ours).append(events(20, 10))  # which no search sees yet
    ours.client.indices.rollover(alias=ours.events)  # its settings are the template's: it is written to only
    assert store.append(events(0, 40)).new == 10
    assert store.count_events() == 40
    ours.client.indices.rollover(alias=ours.events)
    assert store.append(events(10, 40)).new == 10
    assert store.count_events() == 50


def test_the_heir_of_a_lease_sees_all_that_its_predecessor_wrote(ours: Cluster) -> None:
    first, second = another(ours), another(ours)
    lease, heir = Lease(first, ttl=10), Lease(second, ttl=10)
    for round in (1, 2):
        assert lease.hold()
        assert not heir.hold()
        first.put_incident(Incident(f"i-{round}", "p", 1, "", round, "critical", "open", "firm", 1, 1), None)
        first.put_member(Member("p", "", f"SO-{round}", incident=f"i-{round}", detected_at=round), None)
        lease.release()
        assert heir.hold()
        assert [each.value.subject for each in second.unsettled(10)] == [
            f"SO-{n}" for n in range(1, round + 1)
        ]
        latest = second.latest_incident("p", "")
        assert latest is not None
        assert latest.value.episode == round
        heir.release()


def test_who_keeps_a_lease_refreshes_for_its_own_writes_only(ours: Cluster) -> None:
    store = another(ours)
    lease = Lease(store, ttl=10)
    assert lease.hold()
    assert store.unsettled(10) == []
    assert lease.hold()
    another(ours).put_member(Member("p", "", "SO-1", incident="i", detected_at=1), None)
    assert store.unsettled(10) == []


def test_a_reading_sees_what_was_written_before_it_by_anybody(ours: Cluster) -> None:
    """A heartbeat that is seen vouches for what came before it, which may be in another shard."""
    store = another(ours)
    assert store.arrivals("", 10).events == ()
    another(ours).append(events(0, 3))
    assert len(store.arrivals("", 10).events) == 3
