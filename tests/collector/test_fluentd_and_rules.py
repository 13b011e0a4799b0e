"""A real Fluentd and the rules service together: the probe, privileges, and records that come both ways."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from elasticsearch import Elasticsearch
from fluent.sender import FluentSender

from ordertrace_rules.cli.main import ordertrace
from ordertrace_rules.clock import SystemClock
from ordertrace_rules.intake.intake import Intake
from ordertrace_rules.intake.mapping_file import load_mappings
from ordertrace_rules.scheduler import Scheduler
from ordertrace_rules.service import open_service
from ordertrace_rules.settings import load_settings
from ordertrace_rules.stores.elasticsearch.removal import remove
from ordertrace_rules.stores.elasticsearch.setup import install
from ordertrace_rules.stores.memory import MemoryStore
from ordertrace_rules.times import DAY
from tests.collector.conftest import CONFIG, Fluentd, Stream, eventually, free_port
from tests.collector.relay import relay

MakeFluentd = Callable[..., Fluentd]


@pytest.fixture
def installed(elasticsearch: Elasticsearch, fluentd_command: str) -> Iterator[str]:
    """A namespace that `ordertrace setup elasticsearch` made."""
    namespace = f"chain_{free_port()}"
    install(elasticsearch, namespace, 90 * DAY)
    yield namespace
    remove(elasticsearch, namespace)


def test_the_probe_passes_fluentd_elasticsearch_and_the_rules(
    installed: str,
    elasticsearch_url: str,
    make_fluentd: MakeFluentd,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "STORE": "elasticsearch",
        "ES_URL": elasticsearch_url,
        "ES_NAMESPACE": installed,
        "TICK_INTERVAL": "500ms",
    }.items():
        monkeypatch.setenv(f"ORDERTRACE_{name}", value)
    fluentd = make_fluentd(ORDERTRACE_ES_URL=elasticsearch_url, ORDERTRACE_ES_NAMESPACE=installed).start()
    with open_service(load_settings()) as service:
        scheduler = Scheduler(service.tick, None, 0.5)
        scheduler.start()
        try:
            told = CliRunner().invoke(
                ordertrace, ["doctor", "--probe", "--via", f"127.0.0.1:{fluentd.port}", "--format", "json"]
            )
        finally:
            scheduler.stop()
    checks = {
        c["name"]: c["state"] for c in json.loads(told.stdout)["checks"] if c["name"].startswith("probe ")
    }
    assert checks == dict.fromkeys(("probe forward", "probe store", "probe overlap", "probe rules"), "ok"), (
        told.output
    )


def test_fluentd_needs_no_privilege_on_the_cluster(make_fluentd: MakeFluentd, own_stream: Stream) -> None:
    port = free_port()
    with relay(port, own_stream.url, only_bulk=True) as between:
        fluentd = make_fluentd(
            ORDERTRACE_ES_URL=f"http://127.0.0.1:{port}", ORDERTRACE_ES_NAMESPACE=own_stream.namespace
        ).start()
        sender = FluentSender("shop", port=fluentd.port)
        assert sender.emit(None, {"message": "hello"})
        sender.close()
        eventually(lambda: own_stream.count() == 1)
        assert between.forbidden


def test_by_the_pages_recipe_a_record_that_comes_both_ways_is_one_event(
    make_fluentd: MakeFluentd, own_stream: Stream, tmp_path: Path
) -> None:
    page = (CONFIG.parents[1] / "docs" / "fluentd.md").read_text(encoding="utf-8")
    [site] = re.findall(r"```\n(<filter \*\*>.*?gateway-.*?)```", page, re.DOTALL)
    [mapping] = re.findall(r"```yaml\n(mapping: gateway.*?)```", page, re.DOTALL)
    record = {"@timestamp": "2026-11-11T20:00:00+08:00", "message": "PAY", "txn": 77, "result": "OK"}

    (tmp_path / "gateway.yaml").write_text(mapping, encoding="utf-8")
    store = MemoryStore()
    intake = Intake(store, SystemClock(), load_mappings([tmp_path / "gateway.yaml"]))
    intake.accept([record], source="forward")
    [event] = store.arrivals("", 10).events

    fluentd = make_fluentd(ORDERTRACE_ES_URL=own_stream.url, ORDERTRACE_ES_NAMESPACE=own_stream.namespace)
    (fluentd.site / "gateway.conf").write_text(site, encoding="utf-8")
    fluentd.start()
    sender = FluentSender("gateway.log", port=fluentd.port)
    assert sender.emit(None, record)
    assert sender.emit(None, {"message": "of another kind"})
    sender.close()
    eventually(lambda: own_stream.count() == 2)
    ids = {d["message"]: d["event.id"] for d in own_stream.events()}
    assert ids["PAY"] == event.id == "gateway-77-OK"
    assert re.fullmatch("[0-9a-f]{32}", ids["of another kind"])
