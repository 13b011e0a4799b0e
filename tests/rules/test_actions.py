"""A proposed action is decided by a person, executed once under its key, and its result stands on the incident."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.errors import AlertConfigError
from ordertrace_alerting.pipeline import Pipeline
from ordertrace_alerting.sqlite_store import SqliteAlertStore
from ordertrace_rules.actions.decisions import action_id, approve, decline, undecided
from ordertrace_rules.actions.execution import MOST_ORDERS, Execution
from ordertrace_rules.actions.review import reviews
from ordertrace_rules.actions.running import CHECKPOINT, running
from ordertrace_rules.actions.targets import ActionRules, action_rules, action_senders
from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.errors import ConfigError, OrdertraceError
from ordertrace_rules.settings import load_settings
from ordertrace_rules.stores.opening import OpenStore, open_store
from ordertrace_rules.vocabulary import Action, Incident, Member, ProposedAction

SECOND, MINUTE, DAY = 10**9, 60 * 10**9, 86_400 * 10**9
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
TICKET = ProposedAction("ticket", {"en": "Open a ticket", "zh": "提交工单"}, safe=True)
DEGRADE = ProposedAction("degrade", {"en": "Throttle the promotion", "zh": "限流"})
REVIEW = ProposedAction("manual_review", {"en": "Queue for review", "zh": "转人工审核"}, safe=True)
INCIDENT = Incident(
    "paid_not_reserved-1",
    "paid_not_reserved",
    1,
    "",
    1,
    "critical",
    "open",
    "firm",
    SECOND,
    SECOND,
    open_count=2,
    announced=True,
    proposals=(TICKET, DEGRADE, REVIEW),
)


@dataclass
class Target:
    """A server on loopback that answers with the next of `statuses`, then with 200, and keeps what it was sent."""

    server: ThreadingHTTPServer
    statuses: list[int] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook"


@pytest.fixture
def target() -> Iterator[Target]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(kept.statuses.pop(0) if kept.statuses else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept = Target(server)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield kept
    server.shutdown()
    thread.join(10)
    server.server_close()


@dataclass
class Site:
    """A store in a file with one open incident of two orders, an outbox, and a clock that stands."""

    opened: OpenStore
    alerts: SqliteAlertStore
    rules: ActionRules
    now: int = 100 * DAY

    def __post_init__(self) -> None:
        self.store = self.opened.store
        senders = action_senders(self.rules)
        self.outbox = Pipeline(
            alerting_config({}), self.alerts, senders, lambda: self.now, random=lambda: 1.0, patience=30
        )
        self.execution = Execution(self.store, load_catalogue(), self.outbox, self.rules, "https://o.example")

    def incident(self) -> Incident:
        return self.store.incident(INCIDENT.id).value

    def actions(self) -> dict[str, Action]:
        return {action.kind: action for action in self.incident().actions}

    def write(self, **over: Any) -> None:
        held = self.store.incident(INCIDENT.id)
        self.store.put_incident(replace(held.value, **over), held.version)

    def approve(self, proposed: ProposedAction, by: str = "Li") -> Incident:
        return approve(self.store, INCIDENT.id, action_id(proposed), by, self.now, self.rules)

    def tick(self, later: int = 0) -> None:
        """What the service does: hand over and note, deliver, and in the next round note again."""
        self.now += later
        self.execution.tick(self.now)
        self.outbox.tick()
        self.execution.tick(self.now)


@pytest.fixture
def make_site(tmp_path: Path, target: Target) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(automatic: bool = False, kind: str = "sqlite") -> Site:
        file = tmp_path / "o.db"
        opened = open_store(
            load_settings(environ={"ORDERTRACE_STORE": kind, "ORDERTRACE_SQLITE_PATH": str(file)})
        )
        hook = {"url": target.url, "secrets": [SECRET], "allow_private": True}
        rules = action_rules({"automatic": automatic, "ticket": hook, "notify_customer": hook})
        site = Site(opened, SqliteAlertStore(tmp_path / "alerts.db"), rules)
        made.append(site)
        opened.store.put_incident(INCIDENT, None)
        for order in ("SO-1", "SO-2"):
            opened.store.put_member(
                Member("paid_not_reserved", "", order, incident=INCIDENT.id, order_ids=(order,)), None
            )
        return site

    yield make
    for each in made:
        each.alerts.close()
        each.opened.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


def test_nothing_happens_by_itself(site: Site, target: Target) -> None:
    site.tick()
    assert (site.incident().actions, target.requests) == ((), [])
    assert [each.kind for each in undecided(site.incident())] == ["ticket", "degrade", "manual_review"]


def test_an_approved_action_is_posted_once_signed_under_its_key_and_its_result_stands_on_the_incident(
    site: Site, target: Target
) -> None:
    site.approve(TICKET)
    assert site.actions()["ticket"].state == "approved"
    for _ in range(3):
        site.tick(MINUTE)
        site.approve(TICKET, "Wang")  # a second approval changes nothing
    ((headers, body),) = target.requests
    assert headers["webhook-id"] == f"{INCIDENT.id}:{action_id(TICKET)}"
    # The package checks the age of the signature by the wall clock; ours stands, so check the content alone.
    signed = Webhook(SECRET).sign(headers["webhook-id"], _instant(headers), body.decode())
    assert signed in headers["webhook-signature"].split()
    document = json.loads(body)
    assert document["type"] == "ordertrace.action.ticket"
    assert document["data"]["orders"] == ["SO-1", "SO-2"]
    assert document["data"]["orders_are_all"] is True
    assert (document["data"]["approved_by"], document["data"]["count"]) == ("Li", 2)
    assert document["data"]["verdict"]["zh"]
    assert document["data"]["certainty"] == "firm"
    done = site.actions()["ticket"]
    assert (done.state, done.by, done.result) == ("done", "Li", "HTTP 200")
    assert done.finished_at is not None


def _instant(headers: dict[str, str]) -> Any:
    return datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)


def test_a_target_that_is_down_is_tried_again_under_the_same_key_and_the_incident_says_so(
    site: Site, target: Target
) -> None:
    target.statuses = [503, 503]
    site.approve(TICKET)
    site.tick()
    waiting = site.actions()["ticket"]
    assert (waiting.state, waiting.result) == ("approved", "HTTP 503: ok")
    site.tick(MINUTE)
    site.tick(MINUTE)
    assert site.actions()["ticket"].state == "done"
    assert len({headers["webhook-id"] for headers, _ in target.requests}) == 1
    assert len({body for _, body in target.requests}) == 1
    assert len(target.requests) == 3


def test_what_the_target_refuses_failed_and_a_person_may_approve_it_again(site: Site, target: Target) -> None:
    target.statuses = [400]
    site.approve(TICKET)
    site.tick()
    failed = site.actions()["ticket"]
    assert (failed.state, failed.result) == ("failed", "HTTP 400: ok")
    site.tick(MINUTE)
    assert len(target.requests) == 1
    site.now += SECOND
    site.approve(TICKET, "Wang")
    site.tick()
    site.tick()
    assert (site.actions()["ticket"].state, site.actions()["ticket"].by) == ("done", "Wang")
    assert len({headers["webhook-id"] for headers, _ in target.requests}) == 1


@pytest.mark.parametrize("writes", range(6))
def test_a_crash_before_any_write_neither_loses_nor_doubles_an_action(
    site: Site, target: Target, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [writes]

    def dying(write: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            if left[0] == 0:
                raise KeyboardInterrupt  # as a kill: nothing of ours catches it
            left[0] -= 1
            return write(*given)

        return run

    with monkeypatch.context() as patched:
        for owner, name in (
            (site.store, "put_incident"),
            (site.store, "put_checkpoint"),
            (site.alerts, "add_delivery"),
        ):
            patched.setattr(owner, name, dying(getattr(owner, name)))
        try:
            site.approve(TICKET)
            site.tick()
        except KeyboardInterrupt:
            pass
    if "ticket" not in site.actions():
        site.approve(TICKET)  # the person saw an error, and tries again
    site.tick()
    site.tick()
    assert site.actions()["ticket"].state == "done"
    assert len(target.requests) == 1


def test_a_crash_between_post_and_record_may_repeat_the_post_under_the_same_key(
    site: Site, target: Target
) -> None:
    site.approve(TICKET)
    site.execution.tick(site.now)
    key = f"{INCIDENT.id}:{action_id(TICKET)}"
    held = site.alerts.delivery(key)
    action_senders(site.rules)["action:ticket"].send(held.value, site.now)  # then the power went
    site.tick()
    assert [headers["webhook-id"] for headers, _ in target.requests] == [key, key]
    assert site.actions()["ticket"].state == "done"


def test_what_a_person_declines_is_not_done_and_may_still_be_approved(site: Site, target: Target) -> None:
    decline(site.store, INCIDENT.id, action_id(TICKET), "Li", site.now)
    site.tick()
    assert (site.actions()["ticket"].state, target.requests) == ("declined", [])
    site.approve(TICKET, "Wang")
    site.tick()
    assert site.actions()["ticket"].state == "done"
    with pytest.raises(OrdertraceError, match="approved by Wang"):
        decline(site.store, INCIDENT.id, action_id(TICKET), "Li", site.now)


def test_nothing_is_approved_that_cannot_be_executed_or_is_not_proposed_or_too_late(site: Site) -> None:
    with pytest.raises(OrdertraceError, match=r"set actions\.degrade\.url"):
        site.approve(DEGRADE)
    with pytest.raises(OrdertraceError, match="proposes no action"):
        approve(site.store, INCIDENT.id, "ticket-00000000", "Li", site.now, site.rules)
    with pytest.raises(OrdertraceError, match="there is no incident"):
        approve(site.store, "none-1", action_id(TICKET), "Li", site.now, site.rules)
    site.write(state="resolved")
    with pytest.raises(OrdertraceError, match="is resolved"):
        site.approve(TICKET)


def test_an_incident_that_ends_meanwhile_still_gets_the_result(site: Site, target: Target) -> None:
    site.approve(TICKET)
    site.write(state="resolved", proposals=())
    site.tick()
    assert site.actions()["ticket"].state == "done"


def test_what_was_not_handed_over_within_a_day_is_not_done_any_more(site: Site, target: Target) -> None:
    site.approve(TICKET)
    site.tick(2 * DAY)
    assert site.actions()["ticket"].state == "failed"
    assert "within a day" in site.actions()["ticket"].result
    assert target.requests == []


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_safe_actions_are_done_without_a_person_only_where_the_site_says_so(
    make_site: Callable[..., Site], target: Target, kind: str
) -> None:
    site = make_site(automatic=True, kind=kind)
    site.tick()
    site.tick()
    actions = site.actions()
    assert {k: (a.state, a.by, a.automatic) for k, a in actions.items()} == {
        "ticket": ("done", "ordertrace", True),
        "manual_review": ("done", "ordertrace", True),
    }
    assert len(target.requests) == 1


@pytest.mark.parametrize(
    "over", [{"certainty": "unverified"}, {"announced": False}, {"explained_by": "logs_missing-1"}]
)
def test_of_what_is_not_sure_nothing_is_done_without_a_person(
    make_site: Callable[..., Site], target: Target, over: dict[str, Any]
) -> None:
    site = make_site(automatic=True)
    site.write(**over)
    site.tick()
    assert (site.incident().actions, target.requests) == ((), [])


def test_a_declined_safe_action_stays_declined(make_site: Callable[..., Site], target: Target) -> None:
    site = make_site(automatic=True)
    decline(site.store, INCIDENT.id, action_id(TICKET), "Li", site.now)
    site.tick()
    assert (site.actions()["ticket"].state, target.requests) == ("declined", [])


def test_the_review_queue_holds_what_is_still_affected_and_nothing_else(site: Site) -> None:
    assert reviews(site.store) == []
    site.approve(REVIEW)
    (review,) = reviews(site.store)
    assert (review.incident.id, review.approval.by, review.approval.count) == (INCIDENT.id, "Li", 2)
    site.write(state="resolved")
    assert reviews(site.store) == []


def test_the_list_of_what_is_under_way_empties_itself(site: Site) -> None:
    site.approve(TICKET)
    site.tick()
    assert set(running(site.store)) == {INCIDENT.id}
    site.tick(11 * MINUTE)
    assert running(site.store) == {}
    version = site.store.checkpoint(CHECKPOINT).version
    site.tick()
    assert site.store.checkpoint(CHECKPOINT).version == version


def test_a_body_names_at_most_so_many_orders_and_says_that_there_are_more(site: Site, target: Target) -> None:
    orders = [f"MORE-{number}" for number in range(MOST_ORDERS)]
    site.store.put_members(
        [Member("paid_not_reserved", "", each, incident=INCIDENT.id, order_ids=(each,)) for each in orders]
    )
    site.approve(TICKET)
    site.tick()
    data = json.loads(target.requests[0][1])["data"]
    assert (len(data["orders"]), data["orders_are_all"]) == (MOST_ORDERS, False)
    assert data["orders_url"] == f"https://o.example/incidents/{INCIDENT.id}/orders.csv?state=open"


def test_mistakes_in_the_setting_are_named_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(AlertConfigError) as caught:
        action_rules({"automatic": "yes", "ticket": {"url": "ftp://x", "secrets": ["short"]}, "sms": {}})
    places = {".".join(map(str, problem.path)) for problem in caught.value.problems}
    assert places == {"automatic", "ticket.url", "ticket.secrets.0", "sms"}
    file = tmp_path / "ordertrace.yaml"
    file.write_text("actions:\n  ticket:\n    url: ftp://secret.example.com\n")
    with pytest.raises(ConfigError) as in_file:
        load_settings(file, {})
    (problem,) = in_file.value.problems
    assert (problem.line, "ticket" in str(problem), "secret.example" in str(problem)) == (3, False, False)
