"""Take a namespace out of a cluster again: what a demo or a test made. Templates and pipeline stay."""

from elasticsearch import ApiError, Elasticsearch

from ordertrace_rules.stores.elasticsearch.indices import KINDS, event_stream, index_name


def remove(client: Elasticsearch, namespace: str) -> None:
    """Delete the events and all that was made of them. Raises elasticsearch.ApiError and TransportError."""
    stream = event_stream(namespace)
    for kind in KINDS:
        client.options(ignore_status=404).indices.delete(index=index_name(kind, namespace))
    try:
        client.options(ignore_status=404).indices.delete_data_stream(name=stream)
    except ApiError as error:
        if error.status_code != 400:
            raise
        # A server without the data stream API keeps an empty stream.
        client.indices.refresh(index=stream)
        client.delete_by_query(index=stream, query={"match_all": {}}, conflicts="proceed", refresh=True)
