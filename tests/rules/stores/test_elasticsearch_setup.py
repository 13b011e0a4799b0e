"""`ordertrace setup elasticsearch` on a real server: what it makes, upgrades, refuses, and needs."""

import json
import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from elasticsearch import ApiError, Elasticsearch

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules import event as events
from ordertrace_rules.aliases import keys_of
from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.setup import setup as setup_command
from ordertrace_rules.errors import StoreUnavailable
from ordertrace_rules.event import Event
from ordertrace_rules.stores.elasticsearch import indices, setup, templates
from ordertrace_rules.stores.elasticsearch.cluster import Cluster
from ordertrace_rules.stores.elasticsearch.setup import Request, Step, install, plan
from ordertrace_rules.stores.elasticsearch.template_files import template_files
from ordertrace_rules.times import DAY, HOUR, NS

FILES = Path(__file__).parents[3] / "collector-config" / "elasticsearch"
AT = "2026-03-04T05:06:07.123456789Z"
GLOBAL = ("TEMPLATE", "SETTINGS_COMPONENT", "MAPPINGS_COMPONENT", "CUSTOM_COMPONENT", "PATTERN")


@dataclass(frozen=True)
class Site:
    """A cluster in which every name, also of what is there once for all namespaces, is this test's own."""

    client: Elasticsearch
    url: str
    namespace: str
    stream: str

    def send(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"accept": "application/json", "content-type": "application/json"}
        return self.client.perform_request(method, path, headers=headers, body=body).body

    def states(self, retention: int = 90 * DAY) -> dict[str, str]:
        return {step.name: step.state for step in plan(self.client, self.namespace, retention)}

    def install(self, retention: int = 90 * DAY) -> None:
        install(self.client, self.namespace, retention)

    def create(self, document: dict[str, Any]) -> dict[str, Any]:
        """Write it as Fluentd does, and read what was stored."""
        answer = self.client.create(
            index=self.stream, id=uuid.uuid4().hex, document={ecs.TIMESTAMP: AT, **document}, refresh=True
        )
        return self.client.get(index=answer["_index"], id=answer["_id"])["_source"]

    def found(self, **term: Any) -> int:
        return self.client.count(index=self.stream, query={"term": term})["count"]


@pytest.fixture
def site(elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    own = f"ot{uuid.uuid4().hex[:10]}"
    for name in GLOBAL:
        monkeypatch.setattr(templates, name, getattr(templates, name).replace("ordertrace", own))
    monkeypatch.setattr(templates, "PIPELINE", f"{own}-arrived")
    monkeypatch.setattr(setup, "event_stream", lambda namespace: f"logs-{own}.events-{namespace}")
    client = Elasticsearch(elasticsearch_url, request_timeout=60)
    site = Site(client, elasticsearch_url, own, f"logs-{own}.events-{own}")
    yield site
    for path in (
        f"/_data_stream/{site.stream}",  # some servers have no such request; there the rest stays as well
        f"/{site.stream}",
        f"/_index_template/{templates.TEMPLATE}",
        f"/_component_template/{templates.MAPPINGS_COMPONENT}",
        f"/_component_template/{templates.SETTINGS_COMPONENT}",
        f"/_component_template/{templates.CUSTOM_COMPONENT}",
        f"/_ingest/pipeline/{templates.PIPELINE}",
        *(f"/{indices.index_name(kind, own)}" for kind in indices.KINDS),
    ):
        try:
            site.send("DELETE", path)
        except ApiError:
            pass
    client.close()


@pytest.fixture
def ready(emptied_cluster: Cluster, elasticsearch_url: str) -> Site:
    """The cluster as it is set up for everybody, with a namespace of this process and no document in it."""
    cluster = emptied_cluster
    return Site(cluster.client, elasticsearch_url, cluster.namespace, cluster.events)


# installing ----------------------------------------------------------------------------------------------
def test_an_empty_cluster_lacks_everything_and_a_second_run_has_nothing_to_do(site: Site) -> None:
    assert set(site.states().values()) == {"missing"}
    site.install()
    steps = plan(site.client, site.namespace, 90 * DAY)
    assert {step.state for step in steps} == {"current"}
    assert [step.requests for step in steps] == [()] * len(steps)
    assert {step.name for step in steps} >= {
        indices.index_name(kind, site.namespace) for kind in indices.KINDS
    }


def test_setup_leaves_no_document_behind(site: Site) -> None:
    site.install()
    assert site.client.count(index=site.stream)["count"] == 0


def test_setups_at_once_end_in_the_same_state(site: Site) -> None:
    together, failures = threading.Barrier(4), []

    def run() -> None:
        steps = plan(site.client, site.namespace, 90 * DAY)
        together.wait(30)
        try:
            setup.apply(site.client, steps)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(site.states().values()) == {"current"}
    assert site.client.count(index=site.stream)["count"] == 0


def test_a_new_version_adds_its_fields_and_keeps_what_is_stored(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install()
    site.create({"event.id": "before"})
    site.client.indices.rollover(alias=site.stream)
    monkeypatch.setattr(templates, "VERSION", templates.VERSION + 1)
    monkeypatch.setitem(templates.FIELDS, "order.channel", {"type": "keyword"})
    members = {**indices.KINDS["members"]}
    members["properties"] = {**members["properties"], "added": {"type": "long"}}
    monkeypatch.setattr(setup, "KINDS", {**indices.KINDS, "members": members})

    assert set(site.states().values()) == {"older"}
    site.install()
    assert set(site.states().values()) == {"current"}
    site.create({"order.channel": "web"})
    assert site.found(**{"order.channel": "web"}) == 1
    assert site.found(**{"event.id": "before"}) == 1
    streams = site.client.indices.get_mapping(index=site.stream).values()
    assert [each["mappings"]["_meta"]["version"] for each in streams] == [templates.VERSION] * 2
    [index] = site.client.indices.get_mapping(index=indices.index_name("members", site.namespace)).values()
    assert index["mappings"]["properties"]["added"] == {"type": "long"}


def test_the_service_begins_on_no_index_of_an_earlier_version(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What such an index does not map is stored and never found, and nobody would be told."""
    site.install()
    cluster = Cluster(site.client, site.namespace)
    monkeypatch.setattr(cluster, "events", site.stream)
    cluster.require_setup()
    monkeypatch.setattr(templates, "VERSION", templates.VERSION + 1)
    with pytest.raises(StoreUnavailable, match=r"journeys.* of an earlier version.*`ordertrace setup"):
        cluster.require_setup()
    site.install()
    cluster.require_setup()


def test_another_retention_is_an_upgrade(site: Site) -> None:
    site.install(90 * DAY)
    assert site.states(30 * DAY)[templates.TEMPLATE] == "older"
    site.install(30 * DAY)
    assert set(site.states(30 * DAY).values()) == {"current"}
    template = site.client.indices.get_index_template(name=templates.TEMPLATE)["index_templates"][0]
    assert template["index_template"]["template"]["lifecycle"]["data_retention"] == "30d"


@pytest.mark.parametrize(
    ("retention", "text"),
    [(90 * DAY, "90d"), (36 * HOUR, "36h"), (90 * NS, "90s"), (120 * NS, "2m"), (NS + 1, "2s"), (1, "1s")],
)
def test_retention_is_written_in_the_largest_unit_that_holds_it(retention: int, text: str) -> None:
    assert templates.retention_text(retention) == text


def test_a_newer_version_is_refused_and_left_as_it_is(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        later.setattr(templates, "VERSION", templates.VERSION + 1)
        site.install()
    assert set(site.states().values()) == {"newer"}
    with pytest.raises(
        StoreUnavailable,
        match=rf"{templates.PIPELINE} is of version {templates.VERSION + 1} .* upgrade this one",
    ):
        site.install()
    [mapping] = site.client.indices.get_mapping(index=site.stream).values()
    assert mapping["mappings"]["_meta"]["version"] == templates.VERSION + 1


@pytest.mark.parametrize("what", ["pipeline", "component template", "index template", "index", "data stream"])
def test_what_is_not_ours_is_named_and_nothing_at_all_is_changed(site: Site, what: str) -> None:
    foreign = {
        "pipeline": (templates.PIPELINE, f"/_ingest/pipeline/{templates.PIPELINE}", {"processors": []}),
        "component template": (
            templates.SETTINGS_COMPONENT,
            f"/_component_template/{templates.SETTINGS_COMPONENT}",
            {"template": {}, "_meta": {"managed_by": "somebody", "version": 1}},
        ),
        "index template": (
            templates.TEMPLATE,
            f"/_index_template/{templates.TEMPLATE}",
            {"index_patterns": [f"{site.namespace}-elsewhere-*"]},
        ),
        "index": (
            indices.index_name("members", site.namespace),
            f"/{indices.index_name('members', site.namespace)}",
            {},
        ),
        "data stream": (site.stream, f"/{site.stream}/_create/1", {ecs.TIMESTAMP: AT}),
    }
    name, path, body = foreign[what]
    site.send("PUT", path, body)
    states = site.states()
    assert states[name] == "foreign"
    with pytest.raises(StoreUnavailable, match=re.escape(f"{what} {name} is not of ordertrace: delete")):
        site.install()
    assert site.states() == states
    assert set(states.values()) == {"foreign", "missing"}


def test_a_server_that_cannot_switch_the_failure_store_off_gets_the_rest(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = templates.index_template

    def unknown_option(retention: int) -> dict[str, Any]:
        body = made(retention)
        body["template"]["data_stream_options"] = {"of_a_later_server": True}
        return body

    monkeypatch.setattr(templates, "index_template", unknown_option)
    site.install()
    assert set(site.states().values()) == {"current"}


def test_backing_indices_are_standard_and_pass_the_pipeline(site: Site) -> None:
    site.install()
    [index] = site.client.indices.get_settings(index=site.stream, flat_settings=True).values()
    assert index["settings"]["index.mode"] == "standard"
    assert index["settings"]["index.final_pipeline"] == templates.PIPELINE
    assert index["settings"]["index.mapping.total_fields.ignore_dynamic_beyond_limit"] == "true"
    template = site.client.indices.get_index_template(name=templates.TEMPLATE)["index_templates"][0]
    options = template["index_template"]["template"].get("data_stream_options")
    assert options in (None, {"failure_store": {"enabled": False}})


def test_the_sites_own_component_template_is_heard(site: Site) -> None:
    custom = {"template": {"settings": {"index.number_of_shards": 2}}}
    site.send("PUT", f"/_component_template/{templates.CUSTOM_COMPONENT}", custom)
    site.install()
    [index] = site.client.indices.get_settings(index=site.stream, flat_settings=True).values()
    assert index["settings"]["index.number_of_shards"] == "2"


# the command ---------------------------------------------------------------------------------------------
def test_the_command_checks_shows_its_requests_and_does_them(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERTRACE_ES_URL", site.url)
    monkeypatch.setenv("ORDERTRACE_ES_NAMESPACE", site.namespace)

    def run(*options: str) -> tuple[int, str]:
        result = CliRunner().invoke(setup_command, ["elasticsearch", *options], obj=Context(None))
        return result.exit_code, result.output

    assert run("--check")[0] == 1
    code, shown = run("--dry-run")
    assert code == 0
    assert f"PUT /_ingest/pipeline/{templates.PIPELINE}\n{{" in shown
    assert f"PUT /_data_stream/{site.stream}\n" in shown
    assert set(site.states().values()) == {"missing"}

    code, done = run()
    assert code == 0
    assert f"created    data stream {site.stream}" in done
    code, checked = run("--check", "--format", "json")
    assert code == 0
    assert {step["state"] for step in json.loads(checked)["steps"]} == {"current"}
    assert "unchanged" in run()[1]


def test_what_grows_with_the_orders_gets_the_shards_that_are_asked_for_and_keeps_them(site: Site) -> None:
    def shards() -> dict[str, int]:
        found = site.client.indices.get_settings(index=f"ordertrace.*-{site.namespace}").body
        return {
            name.removesuffix(f"-{site.namespace}").removeprefix("ordertrace."): int(
                each["settings"]["index"]["number_of_shards"]
            )
            for name, each in found.items()
        }

    install(site.client, site.namespace, 90 * DAY, shards=3)
    made = shards()
    assert {kind for kind, count in made.items() if count == 3} == {"journeys", "members", "bindings"}
    assert {
        count for kind, count in made.items() if kind in ("incidents", "alerts", "state", "kept_aside")
    } == {1}
    install(site.client, site.namespace, 90 * DAY, shards=5)
    assert shards() == made


def test_the_requests_of_a_dry_run_do_what_setup_does(site: Site) -> None:
    for step in plan(site.client, site.namespace, 90 * DAY):
        for request in step.requests:
            if step.what != "data stream":  # not every server has the request
                site.send(request.method, request.path, request.body)
    states = site.states()
    assert {name for name, state in states.items() if state != "current"} == {site.stream}


# documents -----------------------------------------------------------------------------------------------
def test_every_field_of_an_event_is_mapped() -> None:
    known = {*events._TEXT_FIELDS, *events._WHOLE_FIELDS, ecs.ORDER_AMOUNT, ecs.TIMESTAMP, ecs.EVENT_INGESTED}
    known |= {ecs.EVENT_ID, ecs.HEARTBEAT_INTERVAL, ecs.HEARTBEAT_PHASE}
    assert known - set(templates.FIELDS) == set()
    assert set(templates.OPEN_FIELDS) == {ecs.ORDER_REFS, ecs.LABELS, ecs.LOST}


RECORDS: dict[str, dict[str, Any]] = {
    "dotted": {"order.id": "SO-1", "order.trace_id": "ab", "trace.id": "cd", "order.refs.payment_id": "p1"},
    "nested": {"order": {"id": "SO-2", "refs": {"payment_id": "p", "rma_id": "r"}}, "trace": {"id": "t"}},
    "mixed": {"order": {"id": "SO-3", "refs.rma_id": "r"}, "order.refs": {"tracking_no": "1Z"}},
    "white space and full width": {
        "order.id": " \t\u00a0SO-１２\u3000\u0085",
        "order.refs.rma_id": "\u2028r\x1c",
    },
    "composed": {"order.id": "e\u0301", "order.refs.payment_id": "ﬁ"},
    "absent": {"order.id": " NULL ", "order.refs": {"a": "n/a", "b": "-", "c": None, "d": "", "e": "None"}},
    "absent in full width": {"order.id": "ＮＵＬＬ", "order.refs.rma_id": "nil"},
    "numbers": {
        "order.id": 4711,
        "order.refs": {"a": 5.0, "b": 1.5, "c": 1e16, "d": 2**70, "e": -0.0, "f": 0},
    },
    "truth": {"order.id": True, "order.refs.a": False},
    "one trace twice": {"trace.id": "x", "order.trace_id": "x"},
    "trace ids as they are": {"trace.id": " X ", "order.trace_id": "null"},
    "deep refs": {"order": {"refs": {"erp": {"no": "7", "year": 2026}}}, "order.refs.erp.line": 1},
    "case": {"order.id": "so-ä-ß"},
    "astral": {"order.id": "𝟙𝟚😀"},
    "colons": {"order.id": "a:b", "order.refs.x": "c:d"},
    "nothing": {"message": "no ids"},
    "null everywhere": {"order": None, "trace": {"id": None}, "order.refs": None},
}


def test_the_pipeline_computes_the_keys_that_the_engine_computes(ready: Site) -> None:
    stored = {name: set(ready.create(record)[templates.KEYS]) for name, record in RECORDS.items()}
    expected = {
        name: set(keys_of(Event.from_document({ecs.TIMESTAMP: AT, **record}, received=0)))
        for name, record in RECORDS.items()
    }
    assert stored == expected
    assert ready.found(**{templates.KEYS: "order:SO-12"}) == 1


def test_keys_that_the_sender_computed_are_kept(ready: Site) -> None:
    assert ready.create({"order.id": "1", templates.KEYS: ["order:2"]})[templates.KEYS] == ["order:2"]
    nested = ready.create({"order.id": "1", "ordertrace": {"keys": ["order:3"]}})
    assert nested["ordertrace"]["keys"] == ["order:3"]


def test_the_instant_of_arrival_is_the_servers_and_that_of_ingest_only_where_it_is_missing(
    ready: Site,
) -> None:
    forged = {"ordertrace": {"arrived": AT}, "event.ingested": AT}
    stored = ready.create(forged)
    assert stored[templates.ARRIVED] > AT
    assert stored.get("ordertrace") == {}
    assert stored["event.ingested"] == AT
    assert ready.create({"event": {"ingested": AT}})["event"]["ingested"] == AT
    for missing in ({}, {"event.ingested": None}, {"event": {"ingested": ""}}):
        stored = ready.create(missing)
        assert stored["event.ingested"] == stored[templates.ARRIVED]
        assert len(stored[templates.ARRIVED].partition(".")[2]) > len("123456Z")  # finer than microseconds


STRANGE: list[dict[str, Any]] = [
    {"order": "SO-1", "event": "x", "labels": "x", "service": ["a"], "trace": 1, "messaging": True},
    {"message": {"a": 1}, "event.action": {"a": 1}, "log": {"level": {"a": 1}}, "error.type": [{"a": 1}]},
    {"event.duration": "soon", "event.sequence": {"a": 1}, "order.amount": "12,50", "event.ingested": "now"},
    {"unknown": {"a": 1}, "unknown.b": "x", "kubernetes": [{"x": [1, {"y": 2}]}]},
    {"unknown": "x", "unknown.b": {"c": 1}},
    {"labels": {"a": "x", "a.b": "y", "a.b.c": {"d": "z"}}, "labels.a.e": 1},
    {"labels": {"list": ["a", 1, None], "objects": [{"a": 1}], "empty": {}, "no": None, "number": 1.5}},
    {"": 1, " ": 1, ".": 1, "a.": 1, ".a": 1, "a..b": 1, "order.": 1, "order..id": 1, "labels..": 1},
    {"order": {"": 1, " ": 2, "id.": 3, "refs": {"": 4}}},
    {"ordertrace": "x"},
    {"ordertrace.lost.queue_full": "many", "ordertrace.lost": {"other": 2}},
    {"ordertrace.extra": {"a": {"b": 1}}, "order": "x"},
    {"long": "x" * 40_000, "event.id": "x" * 40_000, "labels.a": "x" * 40_000, "message": "x" * 40_000},
]


def test_no_record_is_refused_for_the_shape_of_its_fields_and_none_of_it_is_lost(ready: Site) -> None:
    ready.create({"labels.a": "first", "labels.list": "first"})
    for record in STRANGE:
        stored = ready.create(record)
        moved = stored.pop(templates.EXTRA, {})
        kept = {**dict(events.flatten(stored)), **dict(events.flatten(moved))}
        sent = dict(events.flatten({k: v for k, v in record.items() if k != templates.EXTRA}))
        sent |= dict(events.flatten(record.get(templates.EXTRA, {})))
        assert {name: kept.get(name, "lost") for name in sent} == sent


def test_labels_beyond_the_limit_are_stored_and_not_indexed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "FIELD_LIMIT", 80)
    site.install()
    site.create({"labels.sku": "A"})
    stored = site.create({f"labels.l{n}": "x" for n in range(200)})
    assert stored["labels.l199"] == "x"
    assert site.found(**{"labels.sku": "A"}) == 1
    [index] = site.client.indices.get_mapping(index=site.stream).values()
    assert 0 < len(index["mappings"]["properties"]["labels"]["properties"]) < 80


def test_labels_refs_and_losses_are_searched_by_value(ready: Site) -> None:
    ready.create({"labels": {"sku": "A-1"}, "order.refs": {"rma_id": "R 1"}, "ordertrace.lost.queue_full": 3})
    assert ready.found(**{"labels.sku": "A-1"}) == 1
    assert ready.found(**{"order.refs.rma_id": "R 1"}) == 1
    query = {"range": {"ordertrace.lost.queue_full": {"gte": 2}}}
    assert ready.client.count(index=ready.stream, query=query)["count"] == 1


# files and privileges ------------------------------------------------------------------------------------
def test_the_files_are_what_setup_installs() -> None:
    there = {
        str(path.relative_to(FILES)): path.read_text(encoding="utf-8")
        for path in FILES.rglob("*.json")
        if not path.name.startswith("role")
    }
    assert there == template_files(), (
        "write them anew: python -m ordertrace_rules.stores.elasticsearch.template_files "
        "collector-config/elasticsearch"
    )


CLUSTER: dict[str, str] = {
    r"(GET|PUT) /_ingest/pipeline/": "manage_ingest_pipelines",
    r"(GET|PUT) /_component_template/": "manage_index_templates",
    r"(GET|PUT) /_index_template/": "manage_index_templates",
}
INDEX: dict[str, str] = {
    r"GET /([^_][^/]*)/_mapping$": "view_index_metadata",
    r"PUT /([^_][^/]*)/_mapping$": "manage",
    r"PUT /([^_][^/]*)$": "create_index",
    r"PUT /_data_stream/([^/]*)$": "create_index",
    r"GET /_data_stream/([^/]*)/_lifecycle$": "view_index_metadata",
    r"PUT /_data_stream/([^/]*)/_lifecycle$": "manage",
}
CALLS: dict[str, str] = {  # of the running service, by the client's method; "" needs none
    "mget": "read",
    "search": "read",
    "count": "read",
    "open_point_in_time": "read",
    "close_point_in_time": "",
    "bulk": "write",
    "update": "write",
    "delete_by_query": "write",
    "indices.refresh": "maintenance",
    "indices.exists": "view_index_metadata",
    "indices.get_mapping": "view_index_metadata",
    "indices.stats": "monitor",
    "indices.resolve_index": "view_index_metadata",
}


def role(name: str) -> dict[str, Any]:
    return json.loads((FILES / name).read_text(encoding="utf-8"))


def grants(name: str, index: str) -> set[str]:
    """The privileges of a role on an index."""
    matching = [
        entry["privileges"]
        for entry in role(name)["indices"]
        if any(
            re.fullmatch(pattern.replace(".", r"\.").replace("*", ".*"), index) for pattern in entry["names"]
        )
    ]
    return {privilege for privileges in matching for privilege in privileges}


def test_setup_needs_only_the_privileges_of_its_role_and_all_of_them(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: set[str] = set()
    perform = setup._perform

    def recorded(client: Elasticsearch, request: Request) -> dict[str, Any]:
        sent.add(f"{request.method} {request.path.replace(site.stream, indices.event_stream('x'))}")
        return perform(client, request)

    def run(version: int) -> tuple[Step, ...]:
        monkeypatch.setattr(templates, "VERSION", version)
        steps = plan(site.client, site.namespace, 90 * DAY)
        setup.apply(site.client, steps)
        return steps

    monkeypatch.setattr(setup, "_perform", recorded)
    for version in (1, 2):
        assert run(version)
    first = indices.event_stream("x")
    sent -= {
        f"PUT /{first}/_create/{setup.FIRST_ID}?refresh=true",  # only where a stream cannot be made otherwise
        f"POST /{first}/_delete_by_query?refresh=true&conflicts=proceed",
    }
    needed_of_cluster: set[str] = set()
    needed_of_indices: set[str] = set()
    for request in sent:
        of_cluster = [privilege for pattern, privilege in CLUSTER.items() if re.match(pattern, request)]
        of_index = [(m[1], p) for pattern, p in INDEX.items() if (m := re.match(pattern, request))]
        assert len(of_cluster) + len(of_index) == 1, f"{request} is not in the tables"
        needed_of_cluster |= set(of_cluster)
        for index, privilege in of_index:
            assert privilege in grants("role-setup.json", index), request
            needed_of_indices.add(privilege)
    assert set(role("role-setup.json")["cluster"]) == needed_of_cluster
    assert {
        p for entry in role("role-setup.json")["indices"] for p in entry["privileges"]
    } == needed_of_indices


def test_the_service_needs_only_the_privileges_of_its_role() -> None:
    package = Path(setup.__file__).parent
    others = {"setup.py", "removal.py"}  # run by other people
    called: set[str] = set()
    for file in package.glob("*.py"):
        if file.name not in others:
            text = re.sub(r"\.options\([^()]*\)", "", file.read_text(encoding="utf-8"))
            called |= set(re.findall(r"\bclient\s*\.((?:indices\.)?[a-z_]+)\s*\(", text))
    assert called - {"close"} - set(CALLS) == set(), "name the privilege in CALLS, and in the role"
    needed = {CALLS[name] for name in called - {"close"}} - {""}
    assert needed <= grants("role.json", "ordertrace.members-default")
    # Events are created, never changed; new labels extend the mapping.
    assert grants("role.json", "logs-ordertrace.events-default") == (needed - {"write"}) | {
        "create_doc",
        "auto_configure",
    }
    assert grants("role-fluentd.json", "logs-ordertrace.events-default") == {"create_doc", "auto_configure"}
    for name in ("role.json", "role-setup.json", "role-fluentd.json"):
        assert not grants(name, "logs-nginx.access-default")
        assert not grants(name, "orders")
