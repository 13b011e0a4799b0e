"""From SQLite into a real Elasticsearch, and back: the same answers, and nobody is told twice, wherever it is cut."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ordertrace_alerting.silences import expire, silence
from ordertrace_alerting.sqlite_store import SqliteAlertStore
from ordertrace_alerting.vocabulary import TargetState
from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.migrate import migrate as migrate_command
from ordertrace_rules.clock import SetClock
from ordertrace_rules.engine import CATALOGUE
from ordertrace_rules.errors import OrdertraceError
from ordertrace_rules.event import Event
from ordertrace_rules.incidents import acknowledge
from ordertrace_rules.scheduler import LEASE, Lease
from ordertrace_rules.service import Service, open_service
from ordertrace_rules.settings import Settings, load_settings
from ordertrace_rules.slices import CHECKPOINT, SLICES
from ordertrace_rules.stores.elasticsearch.cluster import Cluster
from ordertrace_rules.stores.elasticsearch.event_documents import arrived_at
from ordertrace_rules.stores.migration import KINDS, MigrationRefused, Moved, kept_idle, migrate
from ordertrace_rules.stores.migration_cluster import ClusterSide
from ordertrace_rules.stores.migration_file import FileSide
from ordertrace_rules.stores.protocol import KeptAside, Presence
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.times import DAY, MINUTE, format_instant, parse_instant
from ordertrace_rules.trace import trace_document, trace_order

MORNING = parse_instant("2026-03-01T08:00:00Z")
STUCK = 5


class Cut(BaseException):
    """What ends a migration in the middle, as a kill would."""


def at(minutes: float) -> int:
    return MORNING + round(minutes * MINUTE)


def record(minutes: float, service: str, action: str, order: str = "", **fields: object) -> Event:
    document: dict[str, object] = {
        "@timestamp": format_instant(at(minutes)),
        "service.name": service,
        "event.action": action,
        "order.id": order,
        **{name.replace("__", "."): value for name, value in fields.items()},
    }
    return Event.from_document(document, received=at(minutes), source="test")


@pytest.fixture
def site(tmp_path: Path, emptied_cluster: Cluster, elasticsearch_url: str) -> Path:
    """A configuration of which ORDERTRACE_STORE chooses the store."""
    file = tmp_path / "ordertrace.yaml"
    file.write_text(
        f"""store: sqlite
sqlite_path: store.db
es_url: {elasticsearch_url}
es_namespace: {emptied_cluster.namespace}
completeness: {{default: {{source: file}}}}
alerting:
  receivers: [{{name: desk, type: terminal}}]
  route: {{receiver: desk, group_wait: 0s}}
"""
    )
    return file


def settings_of(site: Path, store: str) -> Settings:
    return load_settings(site, {**os.environ, "ORDERTRACE_STORE": store})


def judged(site: Path, clock: SetClock) -> None:
    """A file with an incident that somebody acknowledged, one that is resolved, aliases, orphans, and what was told."""
    with open_service(settings_of(site, "sqlite"), clock) as service:
        service.store.append([record(0, "payment", "payment.captured", f"SO-{n}") for n in range(STUCK)])
        service.store.append(
            [
                record(1, "payment", "payment.captured", "SO-A", order__refs__payment_id="P-1"),
                record(2, "gateway", "payment.settled", order__refs__payment_id="P-1"),
                record(3, "carrier", "shipment.collected", order__refs__tracking_no="T-9"),
                record(4, "inventory", "inventory.reserved", "SO-OK"),
            ]
        )
        service.store.keep_aside([KeptAside("k1", at(0), "tail", "not_json", "{oops")])
        service.store.put_checkpoint("tail:a.log", "17", None)
        turn(service, clock, 130)
        acknowledge(service.store, "paid_not_reserved-1", "Ada", clock.now())
        silence(service.alerts.store, ["playbook=refund_missing"], "Ada", "stock count", DAY, clock.now())
        down = TargetState("pager", (at(139),), 7, 1, open_since=at(138), waits_until=at(300))
        service.alerts.store.put_target(down, None)
        turn(service, clock, 140)


def turn(service: Service, clock: SetClock, minutes: float) -> None:
    clock.advance_to(at(minutes))
    for _ in range(3):
        service.tick()
        service.alerts.tick()
        service.alerts.wait(30)


def told(service: Service) -> tuple[list[str], dict[str, int]]:
    deliveries = service.alerts.store.deliveries(limit=1000)
    return sorted(delivery.key for delivery in deliveries), dict(service.alerts.store.counts())


def picture(service: Service) -> dict[str, object]:
    """What a person sees, and what the next tick begins from."""
    store = service.store
    incidents = [store.incident(i) for i in ("paid_not_reserved-1", "placed_not_paid-1", "logs_missing-1")]
    traces = [trace_order(service, order) for order in ("SO-0", "SO-A", "SO-OK", "SO-none")]
    return {
        "incidents": [held and held.value for held in incidents],
        "open": [held.value for held in store.incidents_open()],
        "members": store.members("paid_not_reserved-1"),
        "traces": [trace and trace_document(trace) for trace in traces],
        "emitters": store.emitters("payment.captured"),
        "presences": [held.value for held in store.presences()],
        "aside": store.kept_aside(10),
        "aliases": store.bindings_from(["payment_id:P-1"]),
        "orphan": [e.action for e in store.events_by_keys(["tracking_no:T-9"], 10)],
        "tail": (found := store.checkpoint("tail:a.log")) and found.value,
        "rules": (found := store.checkpoint(CATALOGUE)) and found.value,
        "told": told(service),
        "silences": service.alerts.store.silences(0),
        "targets": [state for state in service.alerts.store.targets() if state.name == "pager"],
    }


def carried(site: Path, cluster: Cluster, step: Callable[[str, int], None] = lambda *_: None) -> list[Moved]:
    source = SqliteStore(settings_of(site, "sqlite").sqlite_path)
    try:
        target = ClusterSide(cluster)
        return list(migrate(FileSide(source), target, target.alerts, step))
    finally:
        source.close()


def run(site: Path, *arguments: str) -> Result:
    return CliRunner().invoke(migrate_command, [str(a) for a in arguments], obj=Context(site))


@pytest.fixture
def clock() -> Iterator[SetClock]:
    yield SetClock(MORNING)


def test_the_cluster_shows_and_says_what_the_file_did_and_a_tick_changes_nothing(
    site, clock, emptied_cluster
):
    judged(site, clock)
    with open_service(settings_of(site, "sqlite"), clock) as service:
        before = picture(service)
    assert before["incidents"][0].acknowledged_by == "Ada"
    assert before["told"][1]["sent"] > 0
    moved = carried(site, emptied_cluster)
    assert all(each.there == each.held for each in moved)
    assert all(each.held for each in moved if each.kind not in ("presences",)), moved
    with open_service(settings_of(site, "elasticsearch"), clock) as service:
        assert picture(service) == before
        turn(service, clock, 141)
        assert picture(service)["told"] == before["told"]
        after = picture(service)
        assert (after["incidents"], after["members"]) == (before["incidents"], before["members"])


def test_a_target_that_is_left_alone_stays_so_and_a_silence_that_ended_in_the_cluster_stays_over(
    site, clock, emptied_cluster
):
    judged(site, clock)
    carried(site, emptied_cluster)
    with open_service(settings_of(site, "elasticsearch"), clock) as service:
        turn(service, clock, 141)
        alerts = service.alerts.store
        [kept] = alerts.silences(clock.now())
        assert (kept.author, kept.reason) == ("Ada", "stock count")
        assert alerts.target("pager").value.waits_until == at(300)
        expire(alerts, kept.id, clock.now())
    with open_service(settings_of(site, "sqlite"), clock) as service:
        silence(service.alerts.store, ["playbook=late"], "Bo", "rollout", DAY, clock.now())
    moved = {each.kind: each for each in carried(site, emptied_cluster)}
    assert moved["silences"] == Moved("silences", held=2, written=1, there=2)
    assert moved["targets"].written == 0
    with open_service(settings_of(site, "elasticsearch"), clock) as service:
        assert [s.author for s in service.alerts.store.silences(clock.now())] == ["Bo"]


def test_the_first_tick_goes_on_behind_what_was_judged(site, clock, emptied_cluster):
    judged(site, clock)
    with open_service(settings_of(site, "sqlite"), clock) as service:
        service.store.append([record(141, "inventory", "inventory.reserved", "SO-0")])  # not judged yet
        assert len(service.store.arrivals(service.store.checkpoint(CHECKPOINT).value, 100).events) == 1
    carried(site, emptied_cluster)
    with open_service(settings_of(site, "elasticsearch"), clock) as service:
        turn(service, clock, 150)
        resolved = {m.subject for m in service.store.members("paid_not_reserved-1", ("resolved",))}
        assert resolved == {"SO-0"}
        assert service.store.incident("paid_not_reserved-1").value.acknowledged_by == "Ada"


def test_with_all_judged_the_cursor_stands_at_the_latest_arrival(site, clock, emptied_cluster):
    judged(site, clock)
    carried(site, emptied_cluster)
    with open_service(settings_of(site, "elasticsearch"), clock) as service:
        cursor = service.store.checkpoint(CHECKPOINT).value
    [latest] = emptied_cluster.search(
        emptied_cluster.events, {"match_all": {}}, [{"ordertrace.arrived": "desc"}], 1
    )
    assert parse_instant(cursor.partition(" ")[0]) == arrived_at(latest)


@pytest.mark.parametrize("cut_after", range(1, 14, 3))
def test_cut_off_anywhere_and_repeated_it_ends_the_same(site, clock, emptied_cluster, cut_after):
    judged(site, clock)
    with open_service(settings_of(site, "sqlite"), clock) as service:
        before = picture(service)
    steps = 0

    def cut(kind: str, done: int) -> None:
        nonlocal steps
        steps += 1
        if steps == cut_after:
            raise Cut

    with pytest.raises(Cut):
        carried(site, emptied_cluster, cut)
    moved = carried(site, emptied_cluster)
    assert all(each.there == each.held for each in moved)
    with open_service(settings_of(site, "elasticsearch"), clock) as service:
        turn(service, clock, 141)
        assert picture(service)["told"] == before["told"]
        assert picture(service)["incidents"] == before["incidents"]


def test_what_changed_in_the_file_after_a_cut_is_brought_by_the_repeat(site, clock, emptied_cluster):
    judged(site, clock)

    def cut(kind: str, done: int) -> None:
        if kind == "journeys":
            raise Cut

    with pytest.raises(Cut):
        carried(site, emptied_cluster, cut)
    with open_service(settings_of(site, "sqlite"), clock) as service:  # the file went on meanwhile
        service.store.append(
            [record(142, "inventory", "inventory.reserved", f"SO-{n}") for n in range(STUCK)]
        )
        service.store.append([record(142, "inventory", "inventory.reserved", "SO-A")])
        turn(service, clock, 150)
        before = picture(service)
        assert service.store.incident("paid_not_reserved-1").value.state == "resolved"
    carried(site, emptied_cluster)
    with open_service(settings_of(site, "elasticsearch"), clock) as service:
        assert picture(service) == before
        turn(service, clock, 151)
        assert picture(service)["told"] == before["told"]


def test_a_repeat_leaves_what_the_cluster_made_of_it_since(site, clock, emptied_cluster):
    judged(site, clock)
    carried(site, emptied_cluster)
    with open_service(settings_of(site, "elasticsearch"), clock) as service:
        service.store.append(
            [record(142, "inventory", "inventory.reserved", f"SO-{n}") for n in range(STUCK)]
        )
        service.store.append([record(142, "inventory", "inventory.reserved", "SO-A")])
        turn(service, clock, 150)
        before = picture(service)
        assert service.store.incident("paid_not_reserved-1").value.state == "resolved"
    moved = carried(site, emptied_cluster)
    assert {each.kind: each.written for each in moved if each.written} == {}
    with open_service(settings_of(site, "elasticsearch"), clock) as service:
        assert picture(service) == before


def test_events_that_came_into_the_cluster_on_another_way_are_judged(site, clock, emptied_cluster):
    """Fluentd was set over first: what it wrote stands before the file's events, and no cursor passes over it."""
    judged(site, clock)
    with open_service(settings_of(site, "elasticsearch"), clock) as service:
        service.store.append([record(5, "inventory", "inventory.reserved", "SO-1")])
    carried(site, emptied_cluster)
    with open_service(settings_of(site, "elasticsearch"), clock) as service:
        turn(service, clock, 150)
        open_ones = {m.subject for m in service.store.members("paid_not_reserved-1", ("open",))}
        assert "SO-1" not in open_ones and "SO-0" in open_ones


def test_a_program_that_ticks_is_not_migrated_under(tmp_path):
    store = SqliteStore(tmp_path / "store.db")
    serve = Lease(store, 10)
    assert serve.hold()
    with (
        pytest.raises(MigrationRefused, match="stop `ordertrace serve`"),
        kept_idle(store, "here", 0.6, sleep=lambda s: serve.hold() and None),
    ):
        pytest.fail("it began")
    serve.release()
    with kept_idle(store, "here", 10) as renew:
        renew()
        assert not serve.hold()
    assert len(json.loads(store.checkpoint(LEASE).value)) == 1  # the one that stood by
    assert serve.hold()
    store.close()


def test_a_program_that_was_killed_is_waited_out(tmp_path):
    store = SqliteStore(tmp_path / "store.db")
    assert Lease(store, 10).hold()
    with kept_idle(store, "here", 0.3):
        pass
    store.close()


def test_a_file_without_an_outbox_or_a_tick_is_carried_over_too(site, emptied_cluster):
    store = SqliteStore(settings_of(site, "sqlite").sqlite_path)
    store.append([record(0, "payment", "payment.captured", "SO-1")])
    store.put_presence(Presence("payment", "i1", at(0), at(0)), None)
    assert [FileSide(store).held(kind) for kind in ("events", "presences", "signals")] == [1, 1, 0]
    store.close()
    moved = {each.kind: each for each in carried(site, emptied_cluster)}
    assert moved["events"] == Moved("events", 1, 1, 1)
    assert moved["presences"] == Moved("presences", 1, 1, 1)


# the way back ---------------------------------------------------------------------------------------------
def went_on(site: Path, cluster: Cluster, clock: SetClock) -> dict[str, object]:
    """The cluster, with a life of its own since the file was carried over: how it stands."""
    judged(site, clock)
    carried(site, cluster)
    with open_service(settings_of(site, "elasticsearch"), clock) as service:
        service.store.append(
            [record(142, "inventory", "inventory.reserved", f"SO-{n}") for n in range(STUCK)]
        )
        service.store.append([record(142, "inventory", "inventory.reserved", "SO-A")])
        turn(service, clock, 150)
        [ended] = service.alerts.store.silences(clock.now())
        expire(service.alerts.store, ended.id, clock.now())
        silence(service.alerts.store, ["playbook=late"], "Bo", "rollout", DAY, clock.now())
        turn(service, clock, 151)
        return picture(service)


def test_a_file_shows_and_says_what_the_cluster_did_and_a_tick_changes_nothing(
    site, clock, emptied_cluster, tmp_path, monkeypatch
):
    before = went_on(site, emptied_cluster, clock)
    done = run(site, "--to", tmp_path / "back.db", "--format", "json")
    assert done.exit_code == 0, done.output
    moved = {each["kind"]: each for each in json.loads(done.output)["moved"]}
    assert list(moved) == list(KINDS)
    assert moved["silences"] == {"kind": "silences", "held": 2, "written": 2, "there": 2}
    assert all(each["there"] == each["held"] for each in moved.values())
    monkeypatch.setenv("ORDERTRACE_SQLITE_PATH", str(tmp_path / "back.db"))
    with open_service(settings_of(site, "sqlite"), clock) as service:
        assert picture(service) == before
        [log] = [len(service.alerts.store.attempts(key)) for key in before["told"][0][:1]]
        assert log > 0
        turn(service, clock, 152)
        assert picture(service)["told"] == before["told"]
        assert picture(service)["incidents"] == before["incidents"]
        service.store.append([record(153, "payment", "payment.captured", "SO-NEW")])
        turn(service, clock, 300)
        assert "SO-NEW" in {m.subject for m in service.store.members("paid_not_reserved-2", ("open",))}


def test_the_way_back_is_repeated_until_the_file_ticks(site, clock, emptied_cluster, tmp_path, monkeypatch):
    went_on(site, emptied_cluster, clock)
    back = tmp_path / "back.db"
    store, alerts = SqliteStore(back), SqliteAlertStore(back)

    def cut(kind: str, done: int) -> None:
        if kind == "members":
            raise Cut

    with pytest.raises(Cut):
        migrate(ClusterSide(emptied_cluster), FileSide(store), alerts, cut)
    with open_service(settings_of(site, "elasticsearch"), clock) as service:  # which went on meanwhile
        service.store.append([record(159, "inventory", "inventory.reserved", "SO-late")])
        turn(service, clock, 160)
        before = picture(service)
    moved = migrate(ClusterSide(emptied_cluster), FileSide(store), alerts)
    assert all(each.there == each.held for each in moved)
    again = migrate(ClusterSide(emptied_cluster), FileSide(store), alerts)
    assert {each.kind: each.written for each in again if each.written} == {}
    alerts.close()
    store.close()
    monkeypatch.setenv("ORDERTRACE_SQLITE_PATH", str(back))
    with open_service(settings_of(site, "sqlite"), clock) as service:
        assert picture(service) == before


def test_a_file_with_a_life_of_its_own_is_not_carried_into(site, clock, emptied_cluster, tmp_path):
    went_on(site, emptied_cluster, clock)
    refused = run(site, "--to", tmp_path / "store.db")
    assert isinstance(refused.exception, MigrationRefused)
    assert "name a file that there is not" in str(refused.exception)
    assert run(site, "--to", "x.db", "--from", "y.db").exit_code == 2
    plan = json.loads(run(site, "--to", tmp_path / "new.db", "--dry-run", "--format", "json").output)
    assert plan["held"]["events"] == 2 * STUCK + 5
    assert not (tmp_path / "new.db").exists()


def test_the_places_of_slices_are_not_carried_into_a_store_that_writes_others(site, clock, emptied_cluster):
    judged(site, clock)
    with open_service(settings_of(site, "sqlite"), clock) as service:
        reached = service.store.checkpoint(CHECKPOINT).value
        service.store.put_checkpoint(SLICES, "2", None)
        service.store.put_checkpoint(f"{CHECKPOINT}:2:1", reached, None)
    carried(site, emptied_cluster)
    with open_service(settings_of(site, "elasticsearch"), clock) as service:
        assert service.store.checkpoint(SLICES) is None
        assert service.store.checkpoint(f"{CHECKPOINT}:2:1") is None
        assert service.store.checkpoint(CHECKPOINT) is not None


# the command ---------------------------------------------------------------------------------------------
def test_the_command_tells_counts_first_and_what_was_done(site, clock, emptied_cluster):
    judged(site, clock)
    dry = json.loads(run(site, "--dry-run", "--format", "json").output)
    assert (dry["dry_run"], dry["held"]["events"], dry["events_there"]) == (True, STUCK + 4, 0)
    assert "would carry over" in run(site, "--dry-run").output
    done = run(site, "--format", "json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.output)
    assert result["complete"] is True
    assert {each["kind"]: each["held"] for each in result["moved"]} == dry["held"]
    again = run(site)
    assert again.exit_code == 0 and "both sides agree" in again.output


def test_the_command_reads_the_file_that_is_named(site, clock, emptied_cluster, tmp_path):
    judged(site, clock)
    (tmp_path / "store.db").rename(tmp_path / "other.db")
    assert isinstance(run(site).exception, MigrationRefused)
    assert not (tmp_path / "store.db").exists()
    assert run(site, "--from", str(tmp_path / "other.db")).exit_code == 0


def test_a_cluster_that_is_not_set_up_is_named(site, clock):
    judged(site, clock)
    site.write_text(site.read_text().replace("es_namespace: ", "es_namespace: nobody_"))
    refused = run(site, "--dry-run")
    assert isinstance(refused.exception, OrdertraceError)
    assert "ordertrace setup elasticsearch" in str(refused.exception)


def test_what_the_cluster_lacks_is_exit_code_1(site, clock, emptied_cluster, monkeypatch):
    judged(site, clock)
    module = sys.modules[migrate_command.callback.__module__]
    monkeypatch.setattr(module, "carry_over", lambda *_: (Moved("events", 3, 2, 2),))
    lacking = run(site)
    assert lacking.exit_code == 1 and "differs" in lacking.output


def test_killed_in_the_middle_and_run_again(site, clock, emptied_cluster, tmp_path):
    judged(site, clock)
    with open_service(settings_of(site, "sqlite"), clock) as service:
        before = picture(service)
    program = f"""
import os, signal
from pathlib import Path
from ordertrace_rules.cli.context import Context
from ordertrace_rules.stores import migration
whole = migration.migrate
def cut(source, target, alerts, told):
    def then(kind, done):
        told(kind, done)
        if kind == "incidents":
            os.kill(os.getpid(), signal.SIGKILL)
    return whole(source, target, alerts, then)
migration.migrate = cut
from ordertrace_rules.cli.migrate import migrate
migrate.main([], obj=Context(Path({str(site)!r})))
"""
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert killed.returncode == -9, killed.stderr
    with sqlite3.connect(
        tmp_path / "store.db"
    ) as connection:  # what it held is waited out; here we do not wait
        connection.execute("UPDATE checkpoints SET value = '' WHERE id = ?", (LEASE,))
    moved = carried(site, emptied_cluster)
    assert all(each.there == each.held for each in moved)
    with open_service(settings_of(site, "elasticsearch"), clock) as service:
        turn(service, clock, 141)
        assert picture(service)["told"] == before["told"]
        assert picture(service)["incidents"] == before["incidents"]
