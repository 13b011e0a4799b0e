"""`ordertrace demo`: the reference incident, from real processes and real contention."""

import importlib.util
import json
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import httpx
from rich.console import Console

from ordertrace_rules.cli.context import Context
from ordertrace_rules.stores.elasticsearch.cluster import Cluster, connect
from ordertrace_rules.stores.elasticsearch.removal import remove
from ordertrace_rules.stores.elasticsearch.setup import install
from ordertrace_shop import customers, stack
from ordertrace_shop.configuration import TIME_SCALE, write_configuration
from ordertrace_shop.customers import Placed, Wish
from ordertrace_shop.processes import Processes, ProcessFailed
from ordertrace_shop.receiver import Delivery, Receiver, new_secret
from ordertrace_shop.screen import Screen
from ordertrace_shop.stack import Addresses

PLAYBOOK = "paid_not_reserved"
RULE = 7200 / TIME_SCALE  # seconds that the rule's two hours take
CALM_ORDERS = 40
DELIVERY = 40.0  # seconds that all parcels may take to their doors
GUIDE = 60.0  # seconds from the last order to the guide
WEBHOOK = 20.0  # seconds from the guide to the webhook
POLL = 0.25
NEEDED = ("flask", "requests", "structlog", "waitress")


T = TypeVar("T")


class DemoFailed(click.ClickException):
    """The demo did not come to its end; the text says which part failed."""


@dataclass(slots=True)
class Scene:
    """What runs, and what has happened so far."""

    processes: Processes
    addresses: Addresses
    receiver: Receiver
    client: httpx.Client
    screen: Screen
    placed: list[Placed] = field(default_factory=list[Placed])

    @property
    def waiting(self) -> list[str]:
        """The orders that are paid and whose stock was not deducted."""
        return [order.order_no for order in self.placed if order.status == "waiting_for_outbound"]

    def api(self, path: str, **query: str) -> Any:
        """What the rules service answers."""
        return self.client.get(self.addresses.ordertrace + path, params=query).raise_for_status().json()

    def delivered(self) -> int:
        """How many parcels the carrier has brought to their doors."""
        states = self.client.get(self.addresses.carrier + "/parcels").raise_for_status().json()
        return states.get("SIGNED", 0)

    def until(self, what: str, timeout: float, found: Callable[[], T | None], blame: str = "ordertrace") -> T:
        """What `found` returns once it is true. Raises DemoFailed with the log of `blame` after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            self.processes.check()
            value = found()
            if value:
                return value
            if time.monotonic() > deadline:
                raise DemoFailed(f"{what} did not come within {timeout:.0f} s{self.processes.tail(blame)}")
            time.sleep(POLL)


@click.command()
@click.option(
    "--load", default=24, show_default=True, type=click.IntRange(1, 200), help="Customers at a time."
)
@click.option(
    "--orders", default=160, show_default=True, type=click.IntRange(1, 5000), help="In the promotion."
)
@click.option("--exit", "leave", is_flag=True, help="End after the guide, on a terminal too.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--language", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Of the guide."
)
@click.option(
    "--store",
    type=click.Choice(["sqlite", "elasticsearch"]),
    default="sqlite",
    show_default=True,
    help="Where the rules service keeps everything: a file, or the cluster of the setting es_url.",
)
@click.pass_obj
def demo(context: Context, load: int, orders: int, leave: bool, form: str, language: str, store: str) -> None:
    """The main job on this machine, in about a minute: a promotion, stuck orders, and the guide that says why.

    Starts the rules service and a shop of five services, each a process of its own, and buys from it. Nothing is
    scripted to fail: with --load 1 every order goes through. On a terminal it then serves its pages until Ctrl-C.

    \b
    Examples:
      ordertrace demo
      ordertrace demo --load 1
      ordertrace demo --exit --format json
      ORDERTRACE_ES_URL=http://127.0.0.1:9200 ordertrace demo --store elasticsearch
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise click.UsageError(f"{' and '.join(missing)} is missing: run pip install 'ordertrace[demo]'")
    screen = Screen(Console(stderr=form == "json"))
    began = time.monotonic()
    try:
        with _store(context, store) as chosen, _scene(screen, max(8, load + 4), chosen) as scene:
            result = _play(scene, load, orders, language)
            result["seconds"] = round(time.monotonic() - began, 1)
            if form == "json":
                click.echo(json.dumps(result, ensure_ascii=False, indent=2))
            if sys.stdout.isatty() and not leave:
                _serve(scene)
    except (ProcessFailed, httpx.HTTPError) as error:
        raise DemoFailed(str(error)) from error


@contextmanager
def _store(context: Context, store: str) -> Generator[Mapping[str, str] | None]:
    """The settings of the store: None for a file of the demo's own, else a namespace in the cluster, set up for
    it and removed at the end. User and password reach the rules service by the environment."""
    if store == "sqlite":
        yield None
        return
    settings = context.settings
    namespace = f"demo_{uuid.uuid4().hex[:8]}"
    cluster = Cluster(connect(settings), namespace)
    try:
        cluster.ask(lambda: install(cluster.client, namespace, settings.retention))
        try:
            yield {"store": "elasticsearch", "es_url": settings.es_url, "es_namespace": namespace}
        finally:
            remove(cluster.client, namespace)
    finally:
        cluster.client.close()


@contextmanager
def _scene(screen: Screen, threads: int, store: Mapping[str, str] | None) -> Generator[Scene]:
    """Everything started; all of it ended, and the directory removed, on the way out."""
    secret = new_secret()
    with ExitStack() as exits:
        _heed_signals(exits)
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="ordertrace-demo-")))
        receiver = exits.enter_context(Receiver(secret))
        processes = exits.enter_context(Processes(directory))
        exits.callback(
            signal.signal, signal.SIGINT, signal.SIG_IGN
        )  # a second Ctrl-C leaves nothing half done
        client = exits.enter_context(httpx.Client(trust_env=False, timeout=10))
        configuration = write_configuration(directory, receiver.url, secret, store)
        with screen.working("starting the rules service and five services of a shop"):
            addresses = stack.start(processes, configuration, threads)
        yield Scene(processes, addresses, receiver, client, screen)


def _heed_signals(exits: ExitStack) -> None:
    """SIGTERM and a closed terminal end the demo as Ctrl-C does; what held before holds again afterwards."""

    def leave(number: int, frame: object) -> NoReturn:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        exits.callback(signal.signal, number, signal.signal(number, leave))
    exits.callback(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))


def _play(scene: Scene, load: int, orders: int, language: str) -> dict[str, Any]:
    """The calm, the promotion, and what came of it, as one document."""
    _buy(scene, "an ordinary day", customers.calm(CALM_ORDERS), 1)
    _deliver(scene)
    _buy(scene, f"the promotion, {load} customers at a time", customers.promotion(orders), load)
    last_order = time.monotonic()
    _deliver(scene)
    result: dict[str, Any] = {
        "outcome": "incident" if scene.waiting else "no_incident",
        "orders": {
            "placed": len(scene.placed),
            "waiting": len(scene.waiting),
            "delivered": scene.delivered(),
        },
        "incidents": [],
        "incident": None,
        "guide": None,
        "webhook": None,
        "pages": {},
    }
    if scene.waiting:
        return result | _incident(scene, language)
    _nothing(scene, last_order)
    return result


def _buy(scene: Scene, title: str, wishes: Sequence[Wish], clients: int) -> None:
    before = len(scene.waiting)

    with scene.screen.counting(title, len(wishes)) as step:

        def placed(order: Placed) -> None:
            scene.placed.append(order)
            step(f"{len(scene.waiting) - before} waiting for outbound")

        customers.shop(scene.addresses.storefront, wishes, clients, placed)
    refused = len(scene.waiting) - before
    scene.screen.say(f"  {len(wishes)} orders placed; {refused} are paid and still “waiting for outbound”")


def _deliver(scene: Scene) -> None:
    """Wait until whatever inventory granted is at its door: the warehouse and the carrier work all the time."""
    expected = len(scene.placed) - len(scene.waiting)
    with scene.screen.working("parcels on their way"):
        scene.until("the last parcel", DELIVERY, lambda: scene.delivered() >= expected, blame="wms")
    scene.screen.say(f"  {expected} orders are delivered and signed for")


def _incident(scene: Scene, language: str) -> dict[str, Any]:
    """Wait until one incident holds every waiting order, then for its webhook; show both, and the guide."""
    with scene.screen.working(
        f"two hours pass in {RULE:.0f} s; the rules look at what was paid and not reserved"
    ):
        incident = scene.until("the incident", GUIDE, lambda: _grown(scene))
    with scene.screen.working("the team is told"):
        delivery = scene.until("the webhook", WEBHOOK, lambda: _webhook(scene))
    pages = {
        "guide": f"{scene.addresses.ordertrace}/incidents/{incident}",
        "order": f"{scene.addresses.ordertrace}/orders/{scene.waiting[0]}",
    }
    _show(scene, incident, delivery, pages, language)
    path = f"/api/v1/incidents/{incident}"
    return {
        "incidents": [each["id"] for each in _told(scene)],
        "incident": scene.api(path),
        "guide": scene.api(f"{path}/guide", format="json"),
        "webhook": {"id": delivery.id, "verified": delivery.verified, "body": dict(delivery.body)},
        "pages": pages,
    }


def _show(scene: Scene, incident: str, delivery: Delivery, pages: Mapping[str, str], language: str) -> None:
    """The guide as the rules service writes it for terminals, the webhook, and where to look further."""
    url = f"{scene.addresses.ordertrace}/api/v1/incidents/{incident}/guide"
    guide = scene.client.get(url, params={"format": "text", "language": language}).raise_for_status()
    scene.screen.say(f"\n{guide.text}")
    now = scene.api(f"/api/v1/incidents/{incident}/guide", format="json")["title"][language]
    told = _told_by_webhook(delivery, now, language)
    for name, text in {"webhook": told, **pages}.items():
        scene.screen.say(f"{name:<8} {text}", style="bold")


def _told_by_webhook(delivery: Delivery, now: str, language: str) -> str:
    """What the webhook said; `now` is the title of the guide, which counts more orders if some came since."""
    title = delivery.body["data"]["title"][language]
    growing = "" if title == now else "; the incident was still growing when it was sent"
    return f"“{title}”, its signature verified (webhook-id {delivery.id}){growing}"


def _grown(scene: Scene) -> str | None:
    """The incident's id, once it is firm, names a cause, and holds every waiting order."""
    for found in _told(scene):
        whole = found["counts"]["open"] >= len(scene.waiting) and found["certainty"] == "firm"
        if found["playbook"] == PLAYBOOK and whole and found["cause"] is not None:
            return found["id"]
    return None


def _told(scene: Scene) -> list[dict[str, Any]]:
    """The incidents that somebody is told of, without those that another one explains."""
    return [i for i in scene.api("/api/v1/incidents")["incidents"] if i["explained_by"] is None]


def _webhook(scene: Scene) -> Delivery | None:
    """A delivery of our incident that is signed by the rules service. Raises DemoFailed for one that is not."""
    for delivery in scene.receiver.deliveries():
        if not delivery.verified:
            raise DemoFailed("a webhook came with a wrong signature")
        if delivery.body["data"]["labels"]["playbook"] == PLAYBOOK:
            return delivery
    return None


def _nothing(scene: Scene, last_order: float) -> None:
    """Make sure that there is nothing to tell, which is more than that nothing was told."""
    missed = [order.order_no for order in scene.placed if order.status != "released"]
    if missed:
        raise DemoFailed(
            f"{len(missed)} orders were not released, such as {missed[0]}{scene.processes.tail('storefront')}"
        )
    with scene.screen.working("making sure that ordertrace saw every order delivered"):
        for order in scene.placed:
            path = f"/api/v1/orders/{order.order_no}"
            what = f"the end of {order.order_no} in ordertrace"
            scene.until(what, DELIVERY, lambda p=path: scene.api(p)["ended_by"] == "delivery.signed")
    with scene.screen.working(f"letting the rule's two hours pass, which take {RULE:.0f} s"):
        while time.monotonic() < last_order + RULE + 2:
            scene.processes.check()
            time.sleep(POLL)
    told = _told(scene)
    if told:
        raise DemoFailed(f"every order was delivered, and yet there is an incident: {told[0]['id']}")
    scene.screen.say(
        f"no incident: all {len(scene.placed)} orders were delivered. More customers at a time: --load 24"
    )


def _serve(scene: Scene) -> None:
    """Keep the pages up until Ctrl-C."""
    scene.screen.say("serving these pages; Ctrl-C ends it all")
    try:
        while True:
            scene.processes.check()
            time.sleep(0.5)
    except KeyboardInterrupt:
        scene.screen.say("ending")
