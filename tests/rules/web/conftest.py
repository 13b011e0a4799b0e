"""A morning in a shop: some orders are healthy, some stall because the inventory refuses them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from ordertrace_alerting.memory_store import MemoryAlertStore
from ordertrace_alerting.pipeline import Pipeline
from ordertrace_alerting.policy import AlertingConfig, Route
from ordertrace_rules.aliases import Aliases
from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.clock import SetClock
from ordertrace_rules.engine import Engine, Rules
from ordertrace_rules.incidents import IncidentRules
from ordertrace_rules.intake.intake import Intake
from ordertrace_rules.service import Service
from ordertrace_rules.settings import load_settings
from ordertrace_rules.stores.memory import MemoryStore, MemoryViews
from ordertrace_rules.times import HOUR, MINUTE, NS, format_instant, parse_instant
from ordertrace_rules.web.app import create_app

MORNING = parse_instant("2026-11-20T08:00:00Z")
TOKEN = "a long token of the service"
SERVICES = ("storefront", "payment", "inventory", "wms", "carrier")


@dataclass
class Scene:
    """A service with a clock that stands, filled through the intake and the engine."""

    service: Service
    clock: SetClock
    app: Flask
    serial: int = 0

    def client(self) -> FlaskClient:
        return self.app.test_client()

    def says(self, service: str, action: str, at: int, **fields: Any) -> None:
        """One record of `service`, `at` after the morning's beginning."""
        self.serial += 1
        record = {
            "@timestamp": format_instant(MORNING + at),
            "event.id": f"e{self.serial}",
            "service.name": service,
            "event.action": action,
            "event.ingested": format_instant(max(MORNING + at, self.clock.now())),
            **{name.replace("__", "."): value for name, value in fields.items()},
        }
        accepted = self.service.intake.accept([record], source="test")
        assert accepted.new == 1, accepted

    def paid(self, order: str, at: int, **fields: Any) -> None:
        self.says(
            "storefront", "order.placed", at, order__id=order, order__amount=99.5, order__currency="CNY"
        )
        self.says(
            "payment",
            "payment.captured",
            at + 5 * NS,
            order__id=order,
            **{"order.refs.payment_id": f"P-{order}", "message": f"captured for {order}", **fields},
        )

    def delivered(self, order: str, at: int) -> None:
        """A healthy order, from the checkout to the warehouse."""
        self.paid(order, at)
        self.says("inventory", "inventory.reserved", at + 20 * NS, order__id=order, message="deducted 1")
        self.says("wms", "wms.received", at + 40 * NS, order__id=order, message="outbound order accepted")

    def refused(self, order: str, at: int, **fields: Any) -> None:
        """An order whose stock the inventory failed to deduct."""
        self.paid(order, at, **fields)
        self.says(
            "inventory",
            "inventory.reserve_failed",
            at + 20 * NS,
            **{
                "order.id": order,
                "event.outcome": "failure",
                "event.reason": "deduct_failed",
                "log.level": "error",
                "message": "deduct failed: lock wait timeout exceeded",
            },
        )

    def alive(self, until: int, services: tuple[str, ...] = SERVICES) -> None:
        """Say that these services speak up to `until`, so that absence can be told from silence."""
        for service in services:
            self.says(service, "health.checked", until)

    def pass_to(self, at: int) -> None:
        """Let the clock run to `at` after the morning's beginning, and tick."""
        self.clock.advance_to(MORNING + at)
        report = self.service.tick()
        assert not report.problems

    def morning(self) -> "Scene":
        """Twenty healthy orders, six that the inventory refused; three hours pass."""
        for number in range(20):
            self.delivered(f"OK-{number}", number * MINUTE)
        for number in range(6):
            self.refused(f"SO-{number}", 10 * MINUTE + number * MINUTE)
        self.alive(3 * HOUR)
        self.pass_to(3 * HOUR)
        return self


def make_scene(token: str = "", **environ: str) -> Scene:
    settings = load_settings(environ={"ORDERTRACE_STORE": "memory", "ORDERTRACE_TOKEN": token, **environ})
    store, clock, catalogue = MemoryStore(), SetClock(MORNING), load_catalogue()
    rules = Rules(catalogue, Aliases(), settings.completeness, IncidentRules())
    alerts = Pipeline(AlertingConfig({}, Route(("nobody",))), MemoryAlertStore(), {}, clock.now)
    service = Service(
        settings=settings,
        catalogue=catalogue,
        store=store,
        views=MemoryViews(store),
        intake=Intake(store, clock),
        engine=Engine(store, rules, clock),
        alerts=alerts,
        clock=clock,
    )
    return Scene(service, clock, create_app(service))


@pytest.fixture
def scene() -> Scene:
    return make_scene()


@pytest.fixture
def morning(scene: Scene) -> Scene:
    return scene.morning()


@pytest.fixture
def client(morning: Scene) -> Iterator[FlaskClient]:
    with morning.client() as client:
        yield client


@pytest.fixture
def locked() -> Scene:
    """The same morning, behind a token."""
    return make_scene(token=TOKEN).morning()


@pytest.fixture(name="make_scene")
def make_scene_fixture() -> Callable[..., Scene]:
    return make_scene
