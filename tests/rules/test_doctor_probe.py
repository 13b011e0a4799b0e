"""`ordertrace doctor --probe`: one record down the chain, and what it says of each link."""

import json
import re
import socket
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from elasticsearch import Elasticsearch

from ordertrace_alerting.sqlite_store import SqliteAlertStore
from ordertrace_alerting.vocabulary import Delivery
from ordertrace_rules.cli.main import ordertrace
from ordertrace_rules.clock import SetClock, SystemClock
from ordertrace_rules.event import Event
from ordertrace_rules.intake.forward import ForwardServer
from ordertrace_rules.probe import SERVICE, ProbeLost, Sent, Stored, await_judged, await_stored, send_probe
from ordertrace_rules.scheduler import Scheduler
from ordertrace_rules.service import Service, open_service
from ordertrace_rules.settings import load_settings
from ordertrace_rules.stores.elasticsearch.removal import remove
from ordertrace_rules.stores.elasticsearch.setup import install
from ordertrace_rules.stores.memory import MemoryStore
from ordertrace_rules.times import DAY, NS

Checks = dict[str, dict[str, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERTRACE_TICK_INTERVAL", "200ms")
    return tmp_path


@contextmanager
def running(*, ticks: bool = True, shared_key: str = "") -> Iterator[tuple[Service, str]]:
    """The service as configured, and its Forward address."""
    with open_service(load_settings()) as service:
        server = ForwardServer(service.intake, port=0, shared_key=shared_key)
        server.start()
        scheduler = Scheduler(service.tick, None, 0.2)
        if ticks:
            scheduler.start()
        try:
            yield service, f"127.0.0.1:{server.port}"
        finally:
            server.stop()
            if ticks:
                scheduler.stop()


def probed(via: str, expected_exit: int = 0) -> Checks:
    result = CliRunner().invoke(ordertrace, ["doctor", "--probe", "--via", via, "--format", "json"])
    assert result.exit_code == expected_exit, result.output
    return {check["name"]: check for check in json.loads(result.stdout)["checks"]}


def states(checks: Checks) -> dict[str, str]:
    return {name: check["state"] for name, check in checks.items() if name.startswith("probe ")}


def test_a_record_goes_all_the_way_and_each_link_says_how_long_it_took(here: Path) -> None:
    with running() as (service, address):
        checks = probed(address)
        assert states(checks) == {"probe forward": "ok", "probe store": "ok", "probe rules": "ok"}
        for name in ("probe forward", "probe store", "probe rules"):
            assert re.search(r"\d+(ms|s)\b", checks[name]["said"])
        assert "the clocks agree" in checks["probe store"]["said"]
        [event] = service.store.arrivals("", 10).events
        assert (event.service, event.action, event.kind) == (SERVICE, "ordertrace.probe", "metric")
        assert (event.order_id, dict(event.refs)) == ("", {})


def test_the_probe_makes_no_incident_and_no_service_to_care_for(here: Path) -> None:
    with running(ticks=False) as (service, address):
        host, _, port = address.partition(":")
        send_probe(host, int(port), "", SystemClock())
        clock = SetClock(service.clock.now())
        service.engine.clock = clock
        for days in range(4):
            clock.advance_to(clock.now() + days * DAY)
            assert service.engine.catch_up().problems == ()
        assert service.views.incidents().rows == ()
    result = CliRunner().invoke(ordertrace, ["doctor", "--format", "json"])
    named = [check["name"] for check in json.loads(result.stdout)["checks"]]
    assert "services" in named
    assert f"service {SERVICE}" not in named


def test_a_shared_key_is_proved_and_a_wrong_or_missing_one_is_told(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(shared_key="sesame") as (_, address):
        assert "asks for a shared key" in probed(address, 1)["probe forward"]["said"]
        monkeypatch.setenv("ORDERTRACE_FORWARD_SHARED_KEY", "wrong")
        assert "refused" in probed(address, 1)["probe forward"]["said"]
        monkeypatch.setenv("ORDERTRACE_FORWARD_SHARED_KEY", "sesame")
        assert probed(address)["probe forward"]["state"] == "ok"


def test_a_key_that_nobody_asks_for_does_no_harm(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERTRACE_FORWARD_SHARED_KEY", "sesame")
    with running() as (_, address):
        assert probed(address)["probe forward"]["state"] == "ok"


def test_where_nobody_listens_the_later_links_are_not_judged(here: Path) -> None:
    with running(ticks=False), socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        taken.close()
        checks = probed(address, 1)
    assert states(checks) == {"probe forward": "failed", "probe store": "warning", "probe rules": "warning"}
    assert "--via" in checks["probe forward"]["fix"]


def test_where_nothing_ticks_the_rules_fail_and_it_says_what_to_start(here: Path) -> None:
    with running(ticks=False) as (_, address):
        checks = probed(address, 1)
    assert states(checks) == {"probe forward": "ok", "probe store": "ok", "probe rules": "failed"}
    assert "ordertrace worker" in checks["probe rules"]["fix"]


def stepping(clock: SetClock) -> Callable[[float], None]:
    return lambda seconds: clock.advance_to(clock.now() + round(seconds * NS))


def test_a_record_that_was_acknowledged_and_never_comes_is_given_up() -> None:
    clock = SetClock(100 * NS)
    with pytest.raises(ProbeLost, match="not there after 15 s") as lost:
        await_stored(MemoryStore(), Sent("p", 99 * NS, 100 * NS), clock, stepping(clock))
    assert "dead letters" in lost.value.fix
    assert clock.now() >= 115 * NS


def test_a_tick_that_reads_the_record_and_fails_does_not_count_as_judged() -> None:
    store, clock = MemoryStore(), SetClock(100 * NS)
    event = Event(id="p", timestamp=NS, ingested=NS, service=SERVICE)
    with pytest.raises(ProbeLost):
        await_judged(store, event, "", 5 * NS, clock, stepping(clock))
    store.put_checkpoint("engine", "1", None)
    with pytest.raises(ProbeLost):  # it moved, and without our record
        await_judged(store, event, "", 5 * NS, clock, stepping(clock))


@pytest.mark.parametrize(("arrived", "skew"), [(95, -5), (100, 0), (104, 0), (105, 0), (112, 7)])
def test_the_skew_is_what_the_times_of_sending_and_seeing_cannot_explain(arrived: int, skew: int) -> None:
    event = Event(id="p", timestamp=100, ingested=arrived)
    stored = Stored(event, arrived, sent_at=100, written_at=105, visible_at=108)
    assert stored.skew == skew
    assert stored.to_cover == abs(skew) + 3


def test_each_receiver_says_what_became_of_its_latest_message(here: Path) -> None:
    receivers = "".join(f"    - {{name: {name}, type: terminal}}\n" for name in ("took", "gave-up", "never"))
    (here / "ordertrace.yaml").write_text(
        f"alerting:\n  receivers:\n{receivers}  route: {{receiver: took}}\n"
    )
    with running() as (service, address):
        alerts = SqliteAlertStore(service.settings.sqlite_path)
        for number, target, state in ((1, "took", "dead"), (2, "took", "sent"), (3, "gave-up", "dead")):
            made = Delivery(
                f"k{number}", "g", number, target, 0, (), "t", number, "b", state, detail="HTTP 404"
            )
            alerts.add_delivery(made)
        alerts.close()
        checks = probed(address, 1)
    assert checks["chat took"]["state"] == "ok"
    assert checks["chat gave-up"]["state"] == "failed"
    assert "HTTP 404" in checks["chat gave-up"]["said"]
    assert "ordertrace alerts resend k3" in checks["chat gave-up"]["fix"]
    assert checks["chat never"]["said"] == "nothing was ever sent"


@pytest.mark.parametrize("arguments", [["--via", "127.0.0.1:1"], ["--probe", "--via", "nowhere"]])
def test_an_address_without_a_probe_or_without_a_port_is_wrong_usage(
    here: Path, arguments: list[str]
) -> None:
    assert CliRunner().invoke(ordertrace, ["doctor", *arguments]).exit_code == 2


# --- Elasticsearch ---------------------------------------------------------------------------------------


@pytest.fixture
def on_elasticsearch(here: Path, elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    namespace = f"probe_{uuid.uuid4().hex[:8]}"
    for name, value in (
        ("STORE", "elasticsearch"),
        ("ES_URL", elasticsearch_url),
        ("ES_NAMESPACE", namespace),
    ):
        monkeypatch.setenv(f"ORDERTRACE_{name}", value)
    client = Elasticsearch(elasticsearch_url, request_timeout=60)
    install(client, namespace, 90 * DAY)
    yield
    remove(client, namespace)
    client.close()


@pytest.mark.usefixtures("on_elasticsearch")
def test_on_elasticsearch_it_measures_what_the_overlap_has_to_cover() -> None:
    with running() as (_, address):
        checks = probed(address)
    assert set(states(checks).values()) == {"ok"}
    assert "in a search after" in checks["probe store"]["said"]
    assert "readings overlap by 30s" in checks["probe overlap"]["said"]


class _OlderServer(BaseHTTPRequestHandler):
    """The real server, asked in a version that it does not speak, as a newer client would."""

    upstream = ""

    def _pass_on(self) -> None:
        request = urllib.request.Request(self.upstream + self.path, method=self.command)
        request.add_header("Accept", "application/vnd.elasticsearch+json; compatible-with=99")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        body = refused.value.read()
        self.send_response(refused.value.code)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = _pass_on

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.usefixtures("on_elasticsearch")
def test_a_client_that_is_newer_than_the_server_is_named(
    elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = type("Handler", (_OlderServer,), {"upstream": elasticsearch_url})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("ORDERTRACE_ES_URL", f"http://127.0.0.1:{server.server_port}")
        result = CliRunner().invoke(ordertrace, ["doctor", "--format", "json"])
        server.shutdown()
    [check] = [c for c in json.loads(result.stdout)["checks"] if c["name"] == "store"]
    assert check["state"] == "failed"
    assert "elasticsearch<9" in check["fix"]
