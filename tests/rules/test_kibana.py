"""Kibana: its saved objects name what there is, and a link says exactly what it was given, whatever that is."""

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from elasticsearch import Elasticsearch
from hypothesis import given
from hypothesis import strategies as st

from ordertrace_instrumentation.identity import order_trace_id
from ordertrace_rules.guide import ORDERS_SHOWN, build_guide
from ordertrace_rules.kibana import (
    COHORT,
    COLUMNS,
    DATA_VIEW,
    Kibana,
    discover_cohort_url,
    discover_order_url,
    rison,
)
from ordertrace_rules.rendering.markdown import render_markdown
from ordertrace_rules.stores.elasticsearch.cluster import Cluster
from ordertrace_rules.stores.elasticsearch.indices import KINDS
from ordertrace_rules.stores.elasticsearch.removal import remove
from ordertrace_rules.stores.elasticsearch.setup import install
from ordertrace_rules.stores.elasticsearch.store import ElasticsearchStore
from ordertrace_rules.stores.elasticsearch.templates import FIELDS, OPEN_FIELDS
from ordertrace_rules.times import DAY, HOUR, NS, parse_instant
from ordertrace_rules.vocabulary import Incident, Journey, Member, Playbook, StageState

ROOT = Path(__file__).parents[2]
NDJSON = ROOT / "collector-config" / "kibana" / "ordertrace.ndjson"
OBJECTS: list[dict[str, Any]] = [json.loads(line) for line in NDJSON.read_text(encoding="utf-8").splitlines()]
BY_KEY = {(o["type"], o["id"]): o for o in OBJECTS}
EVENTS, JOURNEYS = DATA_VIEW, "ordertrace-journeys"
VERSIONS = {
    "index-pattern": "8.0.0",
    "search": "8.0.0",
    "lens": "8.9.0",
    "visualization": "8.5.0",
    "dashboard": "8.9.0",
}
START = parse_instant("2026-11-20T08:00:00.123456789Z")
NASTY = [
    "SO-1",
    'a"b',
    "it's",
    "订单 42",
    "wow!",
    "!'",
    "a*",
    "back\\slash",
    '\\"',
    '") or order.id : *',
    "') or (x",
    "a) or not (b",
    "50% &_a=()#/?+",
    "!(a,b)",
    "🧾",
    "x" * 256,
]


# --- saved objects -----------------------------------------------------------------------------------------
def flat(properties: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, mapped in properties.items():
        yield prefix + name
        yield from flat(mapped.get("properties", {}), f"{prefix}{name}.")


MAPPED = {EVENTS: set(FIELDS), JOURNEYS: set(flat(KINDS["journeys"]["properties"]))}


def kql_fields(query: str) -> set[str]:
    return set(re.findall(r"([\w.@*]+)\s*(?=:|<|>)", re.sub(r'"[^"]*"', '""', query)))


def values_of(tree: Any, keys: set[str]) -> Iterator[Any]:
    """Every value under one of these keys, at any depth."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key in keys:
                yield value
            yield from values_of(value, keys)
    elif isinstance(tree, list):
        for value in tree:
            yield from values_of(value, keys)


def uses(found: dict[str, Any]) -> tuple[str, set[str]]:
    """The data view that an object reads, and the fields that it names."""
    attributes = found["attributes"]
    views = {r["id"] for r in found["references"] if r["type"] == "index-pattern"}
    fields: set[str] = set()
    if found["type"] == "index-pattern":
        views = {found["id"]}
        fields = {attributes["timeFieldName"]} if "timeFieldName" in attributes else set()
        fields |= set(json.loads(attributes["fieldFormatMap"]))
    elif found["type"] == "search":
        source = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
        fields = {*attributes["columns"], *(field for field, _ in attributes["sort"])}
        fields |= kql_fields(source["query"]["query"])
    elif found["type"] == "lens":
        fields = set(values_of(attributes["state"], {"sourceField"})) - {"___records___"}
        for query in values_of(attributes["state"], {"query"}):
            fields |= kql_fields(query) if isinstance(query, str) else set()
    elif found["type"] == "visualization":
        url = json.loads(json.loads(attributes["visState"])["params"]["spec"])["data"]["url"]
        assert url["index"] == BY_KEY["index-pattern", JOURNEYS]["attributes"]["title"]
        views = {JOURNEYS}
        fields = {url["%timefield%"], *values_of(url["body"], {"field", "path"})}
        fields |= {name for term in values_of(url["body"], {"term"}) for name in term}
    assert len(views) <= 1
    return next(iter(views), ""), fields


def is_mapped(field: str, view: str) -> bool:
    return field in MAPPED[view] or (view == EVENTS and field.startswith(tuple(OPEN_FIELDS)))


@pytest.mark.parametrize("found", OBJECTS, ids=lambda o: o["id"])
def test_every_field_of_an_object_is_in_the_mappings(found: dict[str, Any]) -> None:
    view, fields = uses(found)
    assert [field for field in fields if not is_mapped(field, view)] == []
    assert fields or found["type"] in ("dashboard", "index-pattern")


def test_a_chart_names_no_field_that_only_appears_with_the_data() -> None:
    """Lens shows an error in place of a chart that names a field of which no index knows yet."""
    for found in OBJECTS:
        if found["type"] == "lens":
            view, _ = uses(found)
            named = set(values_of(found["attributes"]["state"], {"sourceField"})) - {"___records___"}
            assert named <= MAPPED[view], found["id"]


def test_the_data_views_read_the_streams_and_indices_of_every_namespace() -> None:
    titles = {o["id"]: o["attributes"]["title"] for o in OBJECTS if o["type"] == "index-pattern"}
    assert titles == {EVENTS: "logs-ordertrace.events-*", JOURNEYS: "ordertrace.journeys-*"}
    assert BY_KEY["index-pattern", EVENTS]["attributes"]["timeFieldName"] == "@timestamp"


def test_ids_are_unique_and_every_reference_leads_to_an_object_of_the_file() -> None:
    assert len(BY_KEY) == len(OBJECTS) == len({o["id"] for o in OBJECTS})
    for found in OBJECTS:
        names = [r["name"] for r in found["references"]]
        assert len(names) == len(set(names)), found["id"]
        assert [r for r in found["references"] if (r["type"], r["id"]) not in BY_KEY] == []


def test_an_object_comes_after_those_that_it_refers_to() -> None:
    place = {key: n for n, key in enumerate(BY_KEY)}
    for key, found in BY_KEY.items():
        assert all(place[r["type"], r["id"]] < place[key] for r in found["references"])


def test_every_object_says_the_8_x_format_that_it_is_in() -> None:
    for found in OBJECTS:
        assert found["typeMigrationVersion"] == VERSIONS[found["type"]]
        assert found["coreMigrationVersion"] == "8.8.0"
        assert found["attributes"]["title"]


def test_what_is_text_in_the_format_is_json_inside() -> None:
    for found in OBJECTS:
        for key, value in found["attributes"].items():
            if key.endswith("JSON") or key in ("visState", "fieldFormatMap", "fieldAttrs", "fields"):
                json.loads(value)


def test_every_reference_is_used_where_its_name_says() -> None:
    for found in OBJECTS:
        names = {r["name"] for r in found["references"]}
        if found["type"] == "search":
            assert (
                json.loads(found["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])["indexRefName"]
                in names
            )
        elif found["type"] == "lens":
            layers = found["attributes"]["state"]["datasourceStates"]["formBased"]["layers"]
            assert names == {f"indexpattern-datasource-layer-{layer}" for layer in layers}
        elif found["type"] == "dashboard":
            panels = json.loads(found["attributes"]["panelsJSON"])
            assert names == {f"{p['panelIndex']}:{p['panelRefName']}" for p in panels}


def test_a_chart_shows_columns_that_it_has() -> None:
    for found in OBJECTS:
        if found["type"] != "lens":
            continue
        layer = found["attributes"]["state"]["datasourceStates"]["formBased"]["layers"]["layer"]
        assert layer["columnOrder"] == list(layer["columns"])
        shown = found["attributes"]["state"]["visualization"]
        named = set(values_of(shown, {"xAccessor", "splitAccessor", "columnId"}))
        named |= {one for accessors in values_of(shown, {"accessors"}) for one in accessors}
        assert named == set(layer["columns"]), found["id"]
        assert set(values_of(layer["columns"], {"columnId"})) <= set(layer["columns"])


def test_panels_fill_the_48_columns_without_covering_each_other() -> None:
    for found in OBJECTS:
        if found["type"] == "dashboard":
            panels = json.loads(found["attributes"]["panelsJSON"])
            grid = [p["gridData"] for p in panels]
            cells = [
                (x, y)
                for g in grid
                for x in range(g["x"], g["x"] + g["w"])
                for y in range(g["y"], g["y"] + g["h"])
            ]
            assert len(cells) == len(set(cells))
            assert max(x for x, _ in cells) == 47
            assert [p["type"] for p in panels] == [r["type"] for r in found["references"]]


def test_the_page_names_every_object() -> None:
    page = (ROOT / "docs" / "kibana.md").read_text(encoding="utf-8")
    titles = [
        o["attributes"]["title"].removeprefix("ordertrace: ") for o in OBJECTS if o["type"] != "index-pattern"
    ]
    assert [title for title in titles if title not in page] == []
    assert f'"successCount":{len(OBJECTS)}`' in page


# --- Rison -------------------------------------------------------------------------------------------------
class Rison:
    """A decoder of the whole notation, written from its grammar and not from our encoder."""

    ENDS = frozenset("'!:(),*@$ ")

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    @classmethod
    def loads(cls, text: str) -> Any:
        self = cls(text)
        value = self.value()
        assert self.at == len(text), f"more after {self.at} in {text!r}"
        return value

    def take(self, wanted: str = "") -> str:
        character = self.text[self.at]
        assert not wanted or character == wanted, f"{character!r} at {self.at} instead of {wanted!r}"
        self.at += 1
        return character

    def value(self) -> Any:
        match self.text[self.at]:
            case "!":
                self.take()
                mark = self.take()
                return self.items(")") if mark == "(" else {"t": True, "f": False, "n": None}[mark]
            case "(":
                self.take()
                return dict(self.items(")", pairs=True))
            case "'":
                return self.string()
            case _:
                start = self.at
                while self.at < len(self.text) and self.text[self.at] not in self.ENDS:
                    self.at += 1
                word = self.text[start : self.at]
                assert word
                return int(word) if re.fullmatch(r"-?\d+", word) else word

    def items(self, end: str, pairs: bool = False) -> list[Any]:
        found: list[Any] = []
        while self.text[self.at] != end:
            if found:
                self.take(",")
            key = self.value()
            if pairs:
                self.take(":")
            found.append((key, self.value()) if pairs else key)
        self.take(end)
        return found

    def string(self) -> str:
        self.take("'")
        said: list[str] = []
        while (character := self.take()) != "'":
            if character == "!":
                character = self.take()
                assert character in "!'"
            said.append(character)
        return "".join(said)


RISON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.sampled_from(NASTY),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(RISON_VALUES)
def test_rison_reads_back_as_what_was_written(value: Any) -> None:
    assert Rison.loads(rison(value)) == value


@given(RISON_VALUES)
def test_another_implementation_of_rison_reads_the_same(value: Any) -> None:
    prison = pytest.importorskip("prison")
    assert prison.loads(rison(value)) == value


# --- links -------------------------------------------------------------------------------------------------
def decoded(url: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The address before the state, and the two halves of the state, as Kibana reads them."""
    parts = urlsplit(url)
    path, _, query = parts.fragment.partition("?")
    assert path == "/"
    state = dict(parse_qsl(query, strict_parsing=True))
    assert set(state) == {"_g", "_a"}
    return f"{parts.scheme}://{parts.netloc}{parts.path}", Rison.loads(state["_g"]), Rison.loads(state["_a"])


KQL = re.compile(r'\s*(?:"((?:\\["\\]|[^"\\])*)"|([\w.@]+)|([:()]))')


def searched(query: str) -> set[tuple[str, str]]:
    """The (field, value) pairs of a KQL query that is a plain "or"; anything else in it fails."""
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(query):
        found = KQL.match(query, at)
        assert found, f"not KQL: {query[at:]!r}"
        quoted, word, mark = found.groups()
        text = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else word or mark
        tokens.append(("value" if quoted is not None else "word" if word else "mark", text))
        at = found.end()
    pairs: set[tuple[str, str]] = set()
    while tokens:
        kind, field = tokens.pop(0)
        assert kind in ("word", "value") and tokens.pop(0) == ("mark", ":")
        if tokens[0] == ("mark", "("):
            end = tokens.index(("mark", ")"))
            inside, tokens = tokens[1:end], tokens[end + 1 :]
            assert inside[1::2] == [("word", "or")] * (len(inside) // 2)
            assert all(kind == "value" for kind, _ in inside[::2])
            pairs |= {(field, text) for _, text in inside[::2]}
        else:
            kind, text = tokens.pop(0)
            assert kind == "value"
            pairs.add((field, text))
        assert not tokens or (tokens.pop(0) == ("word", "or") and tokens)
    return pairs


def kql_of(url: str) -> str:
    query = decoded(url)[2]["query"]
    assert query["language"] == "kuery"
    return query["query"]


IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40) | st.sampled_from(NASTY)


@given(order=IDS, payment=IDS, shipments=st.lists(IDS, max_size=3))
def test_a_link_searches_for_the_order_and_every_ref_and_nothing_else(
    order: str, payment: str, shipments: list[str]
) -> None:
    refs = {"payment_id": (payment,), "shipment_id": tuple(shipments)}
    trace_id = order_trace_id(order)
    url = discover_order_url("https://k.example", order, refs, START, None, trace_id=trace_id)
    assert searched(kql_of(url)) == {
        ("order.id", order),
        ("order.trace_id", trace_id),
        ("order.refs.payment_id", payment),
        *(("order.refs.shipment_id", shipment) for shipment in shipments),
    }


@given(order=IDS)
def test_a_link_is_made_of_characters_that_no_chat_and_no_page_ends_it_at(order: str) -> None:
    url = discover_order_url("https://k.example/s/ops", order, {"payment_id": [order]}, START, None)
    assert re.fullmatch(r"https://k\.example/s/ops/app/discover#/\?_g=[\w.~%-]+&_a=[\w.~%-]+", url, re.A)


@pytest.mark.parametrize("kind", ["odd kind", "a:b", 'q"', "中文", "x*"])
def test_the_name_of_a_ref_cannot_become_anything_else_either(kind: str) -> None:
    url = discover_order_url("https://k.example", "SO-1", {kind: ["P"]}, START, None)
    assert searched(kql_of(url)) == {("order.id", "SO-1"), (f"order.refs.{kind}", "P")}


def test_a_link_leads_to_our_data_view_in_the_space_with_our_columns_in_time_order() -> None:
    where, _, view = decoded(discover_order_url("https://k.example/s/ops/", "SO-1", {}, START, None))
    assert where == "https://k.example/s/ops/app/discover"
    assert view["dataSource"] == {"dataViewId": DATA_VIEW, "type": "dataView"}
    assert ("index-pattern", DATA_VIEW) in BY_KEY
    assert (view["columns"], view["sort"]) == ([*COLUMNS], [["@timestamp", "asc"]])
    assert set(COLUMNS) <= MAPPED[EVENTS]


def test_the_time_is_the_journey_with_an_hour_on_both_sides() -> None:
    _, state, _ = decoded(discover_order_url("https://k.example", "SO-1", {}, START, START + 2 * HOUR))
    assert state["time"] == {"from": "2026-11-20T07:00:00.123Z", "to": "2026-11-20T11:00:00.123Z"}


def test_a_journey_that_goes_on_is_searched_up_to_now() -> None:
    assert decoded(discover_order_url("https://k.example", "SO-1", {}, START, None))[1]["time"]["to"] == "now"


def test_times_stay_times_at_the_edges() -> None:
    _, state, _ = decoded(discover_order_url("https://k.example", "SO-1", {}, NS, 0))
    assert state["time"] == {"from": "1970-01-01T00:00:00Z", "to": "1970-01-01T01:00:01Z"}


def test_refs_that_would_make_the_address_too_long_are_left_out_and_the_order_stays() -> None:
    refs = {"payment_id": ["支" * 256] * 2, "shipment_id": [f"{n:0256}" for n in range(50)]}
    url = discover_order_url("https://k.example", "订" * 256, refs, START, None)
    assert len(url) < 8_000
    assert ("order.id", "订" * 256) in searched(kql_of(url))


def test_a_cohort_is_cut_and_says_where() -> None:
    orders = [f"SO-{n}" for n in range(500)]
    cohort = discover_cohort_url("https://k.example", orders, [("payment_id", "P-0")], START, None, 20)
    assert (cohort.searched, cohort.given) == (20, 500)
    wanted = {("order.id", order) for order in orders[:20]} | {("order.refs.payment_id", "P-0")}
    assert searched(kql_of(cohort.url)) == wanted


def test_a_cohort_of_long_ids_holds_as_many_as_fit() -> None:
    orders = [f"{n:0256}" for n in range(COHORT)]
    cohort = discover_cohort_url("https://k.example", orders, [], START, None)
    assert 5 < cohort.searched < COHORT
    assert searched(kql_of(cohort.url)) == {("order.id", order) for order in orders[: cohort.searched]}
    assert len(cohort.url) < 8_000


# --- where they stand --------------------------------------------------------------------------------------
TEXT = {"en": "t", "zh": "t"}
KIBANA = Kibana("https://k.example/s/ops", "shop")


def guide_of_members(count: int, orders: list[str], kibana: Kibana = KIBANA) -> Any:
    incident = Incident(
        "p-1", "p", 1, "", 1, "critical", "open", "firm", START, START, open_count=count, since=START
    )
    playbook = Playbook("p", 1, TEXT, TEXT, "order_fulfilment", "critical", condition=None)
    members = [Member("p", "", order, order_ids=(order,), since=START) for order in orders]
    journeys = {
        o: Journey("f", o, (o,), (), started_at=START - DAY, refs={"payment_id": (f"P-{o}",)}) for o in orders
    }
    return build_guide(
        incident,
        playbook,
        None,
        members,
        None,
        now=START + DAY,
        base_url="http://h",
        kibana=kibana,
        journeys=journeys,
    )


def test_a_guide_ends_with_the_search_for_its_orders_and_their_refs() -> None:
    guide = guide_of_members(2, ["SO-1", "it's (2)"])
    line = guide.sections[-1].lines[-1]
    assert line.text == {
        "en": "Search the logs of these orders in Kibana.",
        "zh": "在 Kibana 中查询这些订单的日志。",
    }
    assert searched(kql_of(line.href)) == {
        ("order.id", "SO-1"),
        ("order.id", "it's (2)"),
        ("order.refs.payment_id", "P-SO-1"),
        ("order.refs.payment_id", "P-it's (2)"),
    }
    assert decoded(line.href)[1]["time"] == {"from": "2026-11-19T07:00:00.123Z", "to": "now"}


def test_a_guide_says_that_the_search_is_for_the_first_of_many() -> None:
    guide = guide_of_members(500, [f"SO-{n}" for n in range(20)])
    line = guide.sections[-1].lines[-1]
    assert line.text["en"] == f"Search the logs of the first {ORDERS_SHOWN} in Kibana."
    assert {v for f, v in searched(kql_of(line.href)) if f == "order.id"} == {
        f"SO-{n}" for n in range(ORDERS_SHOWN)
    }


def test_the_link_survives_markdown() -> None:
    guide = guide_of_members(1, ["it's (2) <x> \\ \" [a](b)"])
    href = guide.sections[-1].lines[-1].href
    assert f"({href})" in render_markdown(guide, "en")


def test_without_an_address_of_kibana_there_is_no_link() -> None:
    assert "Kibana" not in str(guide_of_members(2, ["SO-1"], Kibana()))


# --- on a real server --------------------------------------------------------------------------------------
@pytest.fixture
def journeys_store(elasticsearch_url: str) -> Iterator[ElasticsearchStore]:
    namespace = f"kibana{uuid.uuid4().hex[:8]}"
    client = Elasticsearch(elasticsearch_url, request_timeout=60)
    install(client, namespace, DAY)
    try:
        yield ElasticsearchStore(Cluster(client, namespace))
    finally:
        remove(client, namespace)
        client.close()


def test_the_requests_of_the_vega_charts_read_the_journeys_of_the_store(
    journeys_store: ElasticsearchStore,
) -> None:
    for number, minutes in enumerate((10, 20, 60)):
        stages = (
            StageState("payment", "done", START, START + minutes * 60 * NS),
            StageState("picking", "running", START + minutes * 60 * NS),
        )
        journeys_store.put_journey(
            Journey("f", f"SO-{number}", (f"SO-{number}",), stages, last_event_at=START), None
        )
    client, index = journeys_store.cluster.client, journeys_store.cluster.index("journeys")
    client.indices.refresh(index=index)
    buckets: dict[str, list[dict[str, Any]]] = {}
    for found in OBJECTS:
        if found["type"] == "visualization":
            data = json.loads(json.loads(found["attributes"]["visState"])["params"]["spec"])["data"]
            answer: Any = client.search(index=index, body=data["url"]["body"])
            for step in data["format"]["property"].split("."):
                answer = answer[step]
            buckets[found["id"]] = answer
    [payment] = buckets["ordertrace-stage-durations"]
    assert (payment["key"], payment["doc_count"]) == ("payment", 3)
    assert round(payment["took"]["values"][0]["value"] / 60) == 20
    states = {
        b["key"]: [s["key"] for s in b["by_state"]["buckets"]] for b in buckets["ordertrace-stage-states"]
    }
    assert states == {"payment": ["done"], "picking": ["running"]}
