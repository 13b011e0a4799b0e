"""Talking to Elasticsearch: answers are whole or an error, and what is busy is asked again after a while.

A search that timed out, or of which a shard failed, raises StoreUnavailable: a part is never an answer. 429 and
503, and a connection that breaks, are tried again with growing pauses; every write is idempotent or a
compare-and-set, so that to repeat it changes nothing twice.
"""

import hashlib
import random
import re
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar, cast

from elasticsearch import ApiError, Elasticsearch, TransportError

from ordertrace_rules.errors import Conflict, StoreUnavailable
from ordertrace_rules.settings import Settings
from ordertrace_rules.stores.codec import DocumentError
from ordertrace_rules.stores.database import chunks, plain
from ordertrace_rules.stores.elasticsearch import templates
from ordertrace_rules.stores.elasticsearch.indices import KINDS, event_stream, index_name
from ordertrace_rules.stores.elasticsearch.refusals import has_lost_its_context, reason_of, said

T = TypeVar("T")
Body = dict[str, Any]
PAGE = 10_000  # index.max_result_window
BULK = 1_000  # documents in one request
LONGEST_ID = 512  # bytes of an `_id`
BUSY = (429, 502, 503, 504)
PAUSES = (0.05, 0.2, 0.5, 1.0, 2.0, 4.0)  # seconds before each further attempt, each with jitter
FEW_PAUSES = PAUSES[:2]  # where somebody waits for the answer, or the next tick asks again
REQUEST_TIMEOUT = 20.0  # seconds
REFRESH_TIMEOUT = 3.0  # seconds: a red index answers after a minute, and a refresh that nobody awaits goes on
SEARCH_TIMEOUT = "15s"
PIT_KEPT = "1m"
_VERSION = re.compile(r"[0-9]{1,19}\.[0-9]{1,19}")


def connect(settings: Settings) -> Elasticsearch:
    """A client of the cluster that the settings name; nothing is sent yet."""
    options: dict[str, Any] = {
        "request_timeout": REQUEST_TIMEOUT,
        "max_retries": 0,
        "retry_on_timeout": False,
    }
    if settings.es_api_key:
        options["api_key"] = settings.es_api_key
    elif settings.es_username:
        options["basic_auth"] = (settings.es_username, settings.es_password)
    if settings.es_ca_certs is not None:
        options["ca_certs"] = str(settings.es_ca_certs)
    return Elasticsearch(settings.es_url, **options)


class PointInTimeLost(StoreUnavailable):
    """A point in time that expired, or was lost with its server: what was read by it has to be read anew."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A document as it was read."""

    id: str
    source: Mapping[str, Any]
    version: str
    sort: tuple[Any, ...] = ()
    index: str = ""


@dataclass(frozen=True, slots=True)
class Write:
    """One document to be written: created where `version` is None, else in place of that version."""

    id: str
    source: Mapping[str, Any]
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a `Write`: its new version, or "" where another one is there, or it was refused."""

    id: str
    version: str
    index: str = ""
    refused: str = ""  # why the document itself cannot be kept


def document_id(text: str) -> str:
    """The text as an `_id`; one that is too long is represented by its hash."""
    shown = plain(text) or "(empty)"
    if len(shown.encode()) <= LONGEST_ID:
        return shown
    return "sha256:" + hashlib.sha256(shown.encode()).hexdigest()


class Cluster:
    """The data streams and indices of one namespace, or with an empty one what other programs have there.

    Safe to use from several threads.
    """

    def __init__(
        self, client: Elasticsearch, namespace: str, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.client = client
        self.namespace = namespace
        self.events = event_stream(namespace)
        self._sleep = sleep
        self._dirty: set[str] = set()  # indices with writes of ours that no search sees yet
        self._dirty_lock = Lock()
        self._refreshing = Lock()

    def index(self, kind: str) -> str:
        return index_name(kind, self.namespace)

    def require_setup(self, pauses: Sequence[float] = PAUSES) -> None:
        """Raises StoreUnavailable where the stream or an index is not there, or lacks fields that are searched."""
        indices = [self.index(kind) for kind in KINDS]
        names = [self.events, *indices]
        missing = [n for n in names if not self.ask(lambda n=n: self.client.indices.exists(index=n), pauses)]
        if missing:
            raise StoreUnavailable(
                f"Elasticsearch at {self.place} has no {', '.join(missing)}: run `ordertrace setup elasticsearch`, "
                "or set es_namespace (ORDERTRACE_ES_NAMESPACE) to the one that was set up"
            )
        found = self.ask(lambda: self.client.indices.get_mapping(index=indices), pauses)
        older = [n for n in indices if _made_by(found[n]) < templates.VERSION]
        if older:
            raise StoreUnavailable(
                f"Elasticsearch at {self.place} has {', '.join(older)} of an earlier version, in which not all of "
                "this one's fields are found: run `ordertrace setup elasticsearch`"
            )

    # reading ------------------------------------------------------------------------------------------
    def get(self, index: str, ids: Iterable[str]) -> dict[str, Hit]:
        """The documents with these `_id`s, as they are at this moment, refreshed or not."""
        found: dict[str, Hit] = {}
        for chunk in chunks(ids, BULK):
            answer = self.ask(lambda chunk=chunk: self.client.mget(index=index, ids=chunk, realtime=True))
            for each in answer["docs"]:
                if "error" in each:
                    raise StoreUnavailable(
                        f"{index} at {self.place} did not answer in full: {reason_of(each)}"
                    )
                if each["found"]:
                    found[each["_id"]] = _hit(each)
        return found

    def search(
        self, index: str, query: Body, sort: Sequence[Body], limit: int, *, fresh: bool = True, **more: Any
    ) -> list[Hit]:
        """The first `limit` documents of a query. With `fresh`, our own writes are among them."""
        if fresh:
            self.refresh(index)
        return list(self._pages(index, query, sort, limit, more))

    def open_pit(self, index: str) -> str:
        """A point in time: all searches with it see the same documents."""
        answer = self.ask(lambda: self.client.open_point_in_time(index=index, keep_alive=PIT_KEPT))
        self._refuse_part(answer, index)
        return str(answer["id"])

    def close_pit(self, pit: str) -> None:
        try:
            self.client.close_point_in_time(id=pit)
        except (ApiError, TransportError):
            pass  # it ends by itself after PIT_KEPT

    def search_pit(
        self, pit: str, query: Body, sort: Sequence[Body], limit: int, *, source: bool
    ) -> Iterator[Hit]:
        """The first `limit` documents of a query in a point in time."""
        more: Body = {"pit": {"id": pit, "keep_alive": PIT_KEPT}, "source": source}
        return self._pages("the point in time", query, sort, limit, more)

    @contextmanager
    def reading(self) -> Generator[None]:
        """Turn a document that cannot be read into a StoreUnavailable: nothing is concluded without it."""
        try:
            yield
        except DocumentError as error:
            raise StoreUnavailable(
                f"Elasticsearch at {self.place} holds a document that cannot be read: {error}"
            ) from error

    def aggregate(self, index: str, query: Body, aggregations: Body) -> Mapping[str, Any]:
        self.refresh(index)
        answer = self._search(index=index, query=query, aggregations=aggregations, size=0)
        return cast(Mapping[str, Any], answer["aggregations"])

    def count(self, index: str, query: Body | None = None) -> int:
        self.refresh(index)
        answer = self.ask(lambda: self.client.count(index=index, query=query))
        self._refuse_part(answer, index)
        return int(answer["count"])

    def backing_indices(self) -> list[str]:
        """The indices of the event stream."""
        answer = self.ask(lambda: self.client.indices.resolve_index(name=self.events))
        return sorted(
            name for stream in answer["data_streams"] for name in _listed(stream["backing_indices"])
        )

    def refresh(self, index: str) -> None:
        """Let searches see what this process wrote; costs nothing where it wrote nothing since."""
        with self._refreshing:  # a second caller waits for the refresh under way
            with self._dirty_lock:
                if index not in self._dirty:
                    return
                self._dirty.discard(index)
            self._refresh(index)

    def refresh_now(self, index: str) -> None:
        """Let searches see what any process wrote before this call."""
        with self._refreshing:
            with self._dirty_lock:
                self._dirty.discard(index)
            self._refresh(index)

    def _refresh(self, index: str) -> None:
        client = self.client.options(request_timeout=REFRESH_TIMEOUT)
        try:
            answer = self.ask(lambda: client.indices.refresh(index=index), FEW_PAUSES)
            if answer["_shards"]["failed"]:
                raise StoreUnavailable(f"{index} at {self.place} was refreshed in part: try again")
        except BaseException:
            self.written(index)
            raise

    def written(self, index: str) -> None:
        """Note that a search does not see all of our writes yet."""
        with self._dirty_lock:
            self._dirty.add(index)

    def _pages(
        self, index: str, query: Body, sort: Sequence[Body], limit: int, more: Mapping[str, Any]
    ) -> Iterator[Hit]:
        body: Body = {"query": query, "sort": [*sort], "seq_no_primary_term": True, **more}
        while limit > 0:
            size = body["size"] = min(limit, PAGE)
            answer = self._search(index=index, **body)
            hits = [_hit(each) for each in answer["hits"]["hits"]]
            yield from hits
            if len(hits) < size:
                return
            limit -= len(hits)
            body["search_after"] = list(hits[-1].sort)

    def _search(self, *, index: str, **body: Any) -> Mapping[str, Any]:
        where: Body = {} if "pit" in body else {"index": index, "allow_partial_search_results": False}
        answer = self.ask(
            lambda: self.client.search(**where, timeout=SEARCH_TIMEOUT, track_total_hits=False, **body)
        )
        self._refuse_part(answer, index)
        return answer

    def _refuse_part(self, answer: Mapping[str, Any], index: str) -> None:
        shards = answer.get("_shards") or {"failed": 0, "successful": 1, "total": 1}
        if answer.get("timed_out") or shards["failed"] or shards["successful"] < shards["total"]:
            raise StoreUnavailable(
                f"{index} at {self.place} answered in part ({shards['successful']} of {shards['total']} shards"
                f"{', timed out' if answer.get('timed_out') else ''}): nothing is concluded from it"
            )

    # writing ------------------------------------------------------------------------------------------
    def put(self, index: str, document: Write) -> str:
        """Compare and set one document; the new version. Raises Conflict."""
        [version] = self.put_all(index, [document])
        return version

    def put_all(self, index: str, documents: Sequence[Write]) -> list[str]:
        """As `put`, for several; all that can be are written before Conflict is raised."""
        written = self.write(index, documents)
        for document, result in zip(documents, written, strict=True):
            if not result.version:
                raise Conflict(f"{document.id} in {index} is no longer at version {document.version}")
        return [result.version for result in written]

    def write(self, index: str, documents: Sequence[Write], *, may_refuse: bool = False) -> list[Written]:
        """Write each on its own, durably; those that lost against another writer have no version.

        A document that the cluster refuses for what is in it raises StoreUnavailable, unless it `may_refuse`.
        """
        results: list[Written] = []
        for start in range(0, len(documents), BULK):
            results += self._write(index, documents[start : start + BULK])
        refused = next((each.refused for each in results if each.refused), "")
        if refused and not may_refuse:
            raise StoreUnavailable(f"{index} at {self.place} refused a document: {refused}")
        return results

    def _write(self, index: str, documents: Sequence[Write]) -> list[Written]:
        done: dict[int, Written] = {}
        left = [n for n, document in enumerate(documents) if _may_match(document.version)]
        for n in set(range(len(documents))) - set(left):
            done[n] = Written(documents[n].id, "")
        for pause in (*PAUSES, None) if left else ():
            operations = [line for n in left for line in _operation(documents[n])]
            try:
                answer = self.ask(lambda ops=operations: self.client.bulk(index=index, operations=ops))
            finally:  # a refresh that began before the answer may not have seen it
                self.written(index)
            busy: dict[int, str] = {}
            for n, item in zip(left, answer["items"], strict=True):
                [result] = item.values()
                if result["status"] in BUSY:
                    busy[n] = reason_of(result)
                elif result["status"] == 409:
                    done[n] = Written(documents[n].id, "")
                elif result["status"] == 400:
                    done[n] = Written(documents[n].id, "", refused=reason_of(result))
                elif result["status"] >= 300:
                    raise StoreUnavailable(f"{index} at {self.place} does not write: {reason_of(result)}")
                else:
                    done[n] = Written(documents[n].id, _version(result), result["_index"])
            left = list(busy)
            if not left:
                break
            if pause is None:
                raise StoreUnavailable(
                    f"{index} at {self.place} is too busy to write, try again: {busy[left[0]]}"
                )
            self._sleep(pause * random.uniform(0.5, 1.5))
        return [done[n] for n in range(len(documents))]

    def delete_by_query(self, index: str, query: Body) -> int:
        """Delete what matches; documents that change meanwhile stay for the next time."""
        self.refresh(index)
        answer = self.ask(
            lambda: self.client.options(request_timeout=300).delete_by_query(
                index=index, query=query, conflicts="proceed", refresh=True
            )
        )
        if answer["failures"] or answer["timed_out"]:
            raise StoreUnavailable(f"{index} at {self.place} deleted in part: repeat it")
        return int(answer["deleted"])

    # asking -------------------------------------------------------------------------------------------
    @property
    def place(self) -> str:
        """The address, for messages: without a user or a password."""
        return ", ".join(f"{n.scheme}://{n.host}:{n.port}" for n in (node.config for node in self._nodes()))

    def ask(self, request: Callable[[], Any], pauses: Sequence[float] = PAUSES) -> Any:
        """Send a request, again where the cluster is busy. Raises StoreUnavailable with the way out."""
        for pause in (*pauses, None):
            try:
                return request()
            except ApiError as error:
                if has_lost_its_context(error):
                    raise PointInTimeLost(said(error, self.place, ours=bool(self.namespace))) from error
                if error.status_code not in BUSY or pause is None:
                    raise StoreUnavailable(said(error, self.place, ours=bool(self.namespace))) from error
            except TransportError as error:
                if pause is None:
                    raise StoreUnavailable(
                        f"Elasticsearch at {self.place} does not answer: {error.message}; is it running, and is "
                        "es_url (ORDERTRACE_ES_URL) its address?"
                    ) from error
            self._sleep(pause * random.uniform(0.5, 1.5))
        raise AssertionError("unreachable")

    def _nodes(self) -> list[Any]:
        return list(self.client.transport.node_pool.all())


def each_of(values: Collection[T], size: int = 10_000) -> Iterator[list[T]]:
    """The values in pieces that a `terms` query takes."""
    listed = list(values)
    for start in range(0, len(listed), size):
        yield listed[start : start + size]


def _listed(names: str | list[str]) -> list[str]:
    """A list of one may be written as that one."""
    return [names] if isinstance(names, str) else names


def _operation(document: Write) -> tuple[Body, Mapping[str, Any]]:
    if document.version is None:
        return {"create": {"_id": document.id}}, document.source
    seq_no, _, term = document.version.partition(".")
    action = {"_id": document.id, "if_seq_no": int(seq_no), "if_primary_term": int(term)}
    return {"index": action}, document.source


def _made_by(index: Mapping[str, Any]) -> int:
    """The version of what set an index up, or upgraded it."""
    return int(index["mappings"].get("_meta", {}).get("version", 0))


def _may_match(version: str | None) -> bool:
    """Whether this is a version that the cluster gave out: another cannot be the present one."""
    return version is None or _VERSION.fullmatch(version) is not None


def _hit(each: Mapping[str, Any]) -> Hit:
    source: Body = each.get("_source") or {}
    return Hit(each["_id"], source, _version(each), tuple(each.get("sort", ())), each["_index"])


def _version(each: Mapping[str, Any]) -> str:
    return f"{each['_seq_no']}.{each['_primary_term']}" if "_seq_no" in each else ""
