"""`ordertrace store` on Elasticsearch: what it holds, and where its backups are made."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.store import store as store_command
from ordertrace_rules.event import Event
from ordertrace_rules.stores.elasticsearch.cluster import Cluster
from ordertrace_rules.stores.elasticsearch.store import ElasticsearchStore
from ordertrace_rules.stores.protocol import KeptAside
from ordertrace_rules.times import NS, format_instant
from ordertrace_rules.vocabulary import Incident, Journey

OLDEST, NEWEST = 1_800_000_000 * NS + 123_456_789, 1_800_000_100 * NS + 1


@pytest.fixture
def config(emptied_cluster: Cluster, elasticsearch_url: str, tmp_path: Path) -> Path:
    file = tmp_path / "ordertrace.yaml"
    file.write_text(
        f"store: elasticsearch\nes_url: {elasticsearch_url}\nes_namespace: {emptied_cluster.namespace}\n"
    )
    return file


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(store_command, list(arguments), obj=Context(config))


def test_info_counts_what_a_namespace_holds(config: Path, emptied_cluster: Cluster) -> None:
    store = ElasticsearchStore(emptied_cluster)
    for n, at in enumerate((NEWEST, OLDEST, OLDEST + NS)):
        store.append([Event(id=f"e-{n}", timestamp=at, ingested=at)])
    for order, ended in (("SO-1", None), ("SO-2", 5)):
        store.put_journey(Journey("p", order, (order,), (), ended_at=ended), None)
    for number, state in enumerate(("open", "resolved", "resolved")):
        store.put_incident(Incident(f"i-{number}", "p", 1, "", number, "critical", state, "firm", 1, 1), None)
    store.keep_aside([KeptAside("k", 1, "s", "no_time", "")])
    emptied_cluster.client.indices.refresh(
        index=f"ordertrace.*-{emptied_cluster.namespace},{emptied_cluster.events}"
    )
    told = run(config, "info", "--format", "json")
    assert told.exit_code == 0, told.exception
    held = json.loads(told.output)
    room = held.pop("room")
    assert held.pop("bytes") == sum(kind["bytes"] for kind in room.values()) > 0
    assert held == {
        "place": emptied_cluster.place,
        "namespace": emptied_cluster.namespace,
        "events": 3,
        "oldest_event": format_instant(OLDEST),
        "newest_event": format_instant(NEWEST),
        "journeys": 2,
        "open_journeys": 1,
        "incidents": 3,
        "open_incidents": 1,
        "kept_aside": 1,
    }
    assert room["events"]["indices"] == len(emptied_cluster.backing_indices())
    assert "journeys    2, 1 open" in run(config, "info").output


def test_info_of_an_empty_namespace_has_no_instants(config: Path) -> None:
    held = json.loads(run(config, "info", "--format", "json").output)
    assert (held["events"], held["oldest_event"], held["newest_event"]) == (0, None, None)


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_backups_are_elasticsearchs_snapshots(config: Path, emptied_cluster: Cluster, command: str) -> None:
    told = run(config, command, str(config))
    assert told.exit_code == 2
    said = " ".join(told.output.split())
    assert f"a snapshot of {emptied_cluster.events} and ordertrace.*-{emptied_cluster.namespace}" in said
