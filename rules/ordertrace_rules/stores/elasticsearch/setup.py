"""What `ordertrace setup elasticsearch` does: compare what the cluster has with what it needs, and make it so.

Each step is one thing by name. Every request may be repeated and none depends on what another process does at
the same time, so that two setups at once end in the same state.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from elasticsearch import ApiError, Elasticsearch

from ordertrace_rules.errors import StoreUnavailable
from ordertrace_rules.stores.elasticsearch import templates
from ordertrace_rules.stores.elasticsearch.cluster import Cluster
from ordertrace_rules.stores.elasticsearch.indices import BY_ORDER, KINDS, event_stream, index_name

Body = dict[str, Any]
State = Literal["missing", "older", "current", "newer", "foreign"]
FIRST_ID: Final = "ordertrace-setup"  # of the document by which an old server is made to make a data stream
_HEADERS: Final = {"accept": "application/json", "content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it goes to the cluster."""

    method: str
    path: str
    body: Body | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is needed, whether it is there, and the requests that bring it about."""

    what: str  # pipeline | component template | index template | index | data stream
    name: str
    state: State
    requests: tuple[Request, ...] = field(default=(), repr=False)  # none where nothing is to be done
    note: str = ""  # what differs, or the way out


def plan(client: Elasticsearch, namespace: str, retention: int, shards: int = 1) -> tuple[Step, ...]:
    """What the cluster lacks for this namespace, with events kept for `retention` ns. Reads only.

    Indices that grow with the orders are made with so many primary `shards`; those that are there keep theirs.
    The steps come in the order in which they are to be done. Raises StoreUnavailable.
    """
    cluster = Cluster(client, namespace)
    return (
        _pipeline(cluster),
        _component(cluster, templates.MAPPINGS_COMPONENT, templates.mappings_component()),
        _component(cluster, templates.SETTINGS_COMPONENT, templates.settings_component()),
        _index_template(cluster, retention),
        *(
            _index(cluster, index_name(kind, namespace), mapping, shards if kind in BY_ORDER else 1)
            for kind, mapping in KINDS.items()
        ),
        _data_stream(cluster, event_stream(namespace), retention),
    )


def check(steps: Iterable[Step]) -> None:
    """Refuse what must not be touched. Raises StoreUnavailable that names each, with the way out."""
    refused = [f"{s.what} {s.name} {s.note}" for s in steps if s.state in ("foreign", "newer")]
    if refused:
        raise StoreUnavailable("\n".join(refused))


def apply(client: Elasticsearch, steps: Sequence[Step]) -> None:
    """Do what the steps lack; nothing at all where one of them is foreign or newer. Raises StoreUnavailable."""
    check(steps)
    cluster = Cluster(client, "")
    for step in steps:
        for request in step.requests:
            cluster.ask(lambda request=request: _send(client, request))


def install(client: Elasticsearch, namespace: str, retention: int, shards: int = 1) -> None:
    """Bring the cluster to what this version needs; costs a few reads where it is there."""
    apply(client, plan(client, namespace, retention, shards))


# what is there -------------------------------------------------------------------------------------------
def _pipeline(cluster: Cluster) -> Step:
    path = f"/_ingest/pipeline/{templates.PIPELINE}"
    found = _get(cluster, path)
    present = [found[templates.PIPELINE]] if found else []
    return _step("pipeline", templates.PIPELINE, present, (Request("PUT", path, templates.pipeline()),))


def _component(cluster: Cluster, name: str, body: Body) -> Step:
    path = f"/_component_template/{name}"
    found = _get(cluster, path)
    present = [each["component_template"] for each in found["component_templates"]] if found else []
    return _step("component template", name, present, (Request("PUT", path, body),))


def _index_template(cluster: Cluster, retention: int) -> Step:
    path = f"/_index_template/{templates.TEMPLATE}"
    found = _get(cluster, path)
    present = [each["index_template"] for each in found["index_templates"]] if found else []
    kept = [each.get("template", {}).get("lifecycle", {}).get("data_retention") for each in present]
    requests = (Request("PUT", path, templates.index_template(retention)),)
    return _step("index template", templates.TEMPLATE, present, requests, _differs(kept, retention))


def _index(cluster: Cluster, name: str, mapping: Body, shards: int) -> Step:
    body = templates.plain_index(mapping, shards)
    present = _mappings(cluster, name)
    request = (
        Request("PUT", f"/{name}/_mapping", body["mappings"]) if present else Request("PUT", f"/{name}", body)
    )
    return _step("index", name, present, (request,))


def _data_stream(cluster: Cluster, name: str, retention: int) -> Step:
    present = _mappings(cluster, name)
    if not present:
        return _step("data stream", name, present, (Request("PUT", f"/_data_stream/{name}"),))
    path = f"/_data_stream/{name}/_lifecycle"
    found = _get(cluster, path)
    kept = (
        [each.get("lifecycle", {}).get("data_retention") for each in found["data_streams"]] if found else []
    )
    requests = (
        Request("PUT", f"/{name}/_mapping", templates.event_mappings()),
        Request("PUT", path, {"data_retention": templates.retention_text(retention)}),
    )
    return _step("data stream", name, present, requests, _differs(kept, retention))


def _mappings(cluster: Cluster, name: str) -> list[Body]:
    """The mappings of an index, or of each backing index of a data stream; none where it is missing."""
    found = _get(cluster, f"/{name}/_mapping")
    return [each["mappings"] for each in found.values()] if found else []


def _differs(kept: Sequence[str | None], retention: int) -> str:
    wanted = templates.retention_text(retention)
    other = next((each for each in kept if each != wanted), wanted)
    return "" if other == wanted else f"keeps events for {other or 'ever'}, to be {wanted}"


def _step(
    what: str, name: str, present: Sequence[Body], requests: tuple[Request, ...], differs: str = ""
) -> Step:
    """Judge by the `_meta` of what is there: one thing, or each backing index of a data stream."""
    if not present:
        return Step(what, name, "missing", requests)
    marks: list[Body] = [each.get("_meta") or {} for each in present]
    if any(mark.get("managed_by") != templates.MANAGED_BY for mark in marks):
        kind = name if what in ("index", "data stream") else "it"
        way_out = (
            f"is not of ordertrace: delete {kind} after saving what it holds, or set es_namespace "
            "(ORDERTRACE_ES_NAMESPACE) to a name of your own"
            if what in ("index", "data stream")
            else "is not of ordertrace: delete it, or store it under another name, and repeat"
        )
        return Step(what, name, "foreign", note=way_out)
    versions = [int(mark.get("version", 0)) for mark in marks]
    if max(versions) > templates.VERSION:
        return Step(
            what,
            name,
            "newer",
            note=f"is of version {max(versions)} and this ordertrace makes {templates.VERSION}: upgrade this one",
        )
    if min(versions) < templates.VERSION:
        return Step(
            what, name, "older", requests, f"is of version {min(versions)}, to be {templates.VERSION}"
        )
    return Step(what, name, "older", requests, differs) if differs else Step(what, name, "current")


# asking --------------------------------------------------------------------------------------------------
def _get(cluster: Cluster, path: str) -> Body | None:
    """What stands at the path; None where nothing does, or where the server has no such path."""

    def read() -> Body | None:
        try:
            return _perform(cluster.client, Request("GET", path))
        except ApiError as error:
            if error.status_code == 404 or _has_no_handler(error):
                return None
            raise

    return cast(Body | None, cluster.ask(read))


def _send(client: Elasticsearch, request: Request) -> None:
    try:
        _perform(client, request)
    except ApiError as error:
        if _is_there_already(error):
            return  # another setup was faster
        fallback = _fallback(request, error)
        if fallback is None:
            raise
        for each in fallback:
            _send(client, each)


def _fallback(request: Request, error: ApiError) -> tuple[Request, ...] | None:
    """The same for a server that does not know the request; None where there is no other way."""
    template = (request.body or {}).get("template", {})
    if (
        error.status_code == 400
        and "data_stream_options" in template
        and "data_stream_options" in str(error.body)
    ):
        rest = {key: value for key, value in template.items() if key != "data_stream_options"}
        return (Request(request.method, request.path, {**(request.body or {}), "template": rest}),)
    if not _has_no_handler(error):
        return None
    if request.path.endswith("/_lifecycle"):
        return ()  # new backing indices follow the template
    name = request.path.rsplit("/", 1)[1]
    return (
        Request("PUT", f"/{name}/_create/{FIRST_ID}?refresh=true", {"@timestamp": "1970-01-01T00:00:00Z"}),
        Request(
            "POST",
            f"/{name}/_delete_by_query?refresh=true&conflicts=proceed",
            {"query": {"ids": {"values": [FIRST_ID]}}},
        ),
    )


def _perform(client: Elasticsearch, request: Request) -> Body:
    answer = client.perform_request(request.method, request.path, headers=_HEADERS, body=request.body)
    return cast(Body, answer.body)


def _is_there_already(error: ApiError) -> bool:
    return "resource_already_exists_exception" in str(error.body) or error.status_code == 409


def _has_no_handler(error: ApiError) -> bool:
    said = str(error.body)
    return error.status_code in (400, 405) and ("no handler found" in said or "Incorrect HTTP method" in said)
