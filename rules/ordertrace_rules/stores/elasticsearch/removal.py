"""Take a namespace out of a cluster again: what a demo or a test made. Templates and pipeline stay."""

from elasticsearch import Elasticsearch

from ordertrace_rules.stores.elasticsearch.cluster import Cluster
from ordertrace_rules.stores.elasticsearch.indices import KINDS


def remove(client: Elasticsearch, namespace: str) -> None:
    """Delete the events and all that was made of them, however busy the cluster is. Raises StoreUnavailable."""
    cluster = Cluster(client, namespace)
    lenient = client.options(ignore_status=(400, 404, 405))
    for kind in KINDS:
        cluster.ask(lambda kind=kind: lenient.indices.delete(index=cluster.index(kind)))
    cluster.ask(lambda: lenient.indices.delete_data_stream(name=cluster.events))
    if cluster.ask(lambda: client.indices.exists(index=cluster.events)):
        # A server without the data stream API keeps an empty stream.
        cluster.refresh_now(cluster.events)
        cluster.delete_by_query(cluster.events, {"match_all": {}})
