"""Deliveries: what was sent to whom and what became of it, as a page and for the API; each may be sent again."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from flask import Blueprint, redirect, render_template, request
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response

from ordertrace_alerting.errors import UnknownDelivery
from ordertrace_alerting.vocabulary import DELIVERY_STATES, Delivery, DeliveryState
from ordertrace_rules.deliveries import attempt_document, delivery_document
from ordertrace_rules.service import Service
from ordertrace_rules.web.access import check_form
from ordertrace_rules.web.bodies import asked_limit, json_object
from ordertrace_rules.web.live import live

SHOWN = 50


def add_delivery_pages(blueprint: Blueprint, service: Service) -> None:
    @blueprint.get("/deliveries")
    def deliveries_page() -> Response:
        state = _state()
        found = service.alerts.store.deliveries(state, SHOWN)
        mark = " ".join(f"{each.key}:{each.state}:{each.attempts}" for each in found)
        return live(service, partial(_page, service, state, found), mark)

    @blueprint.post("/deliveries/<key>/resend")
    def resend_on_page(key: str) -> Response:
        check_form()
        _resend(service, key)
        return redirect("/deliveries", 303)


def add_deliveries(blueprint: Blueprint, service: Service) -> None:
    @blueprint.get("/deliveries")
    def deliveries() -> dict[str, Any]:
        store = service.alerts.store
        found = store.deliveries(_state(), asked_limit(SHOWN))
        log = {each.key: [attempt_document(line) for line in store.attempts(each.key)] for each in found}
        return {"deliveries": [{**delivery_document(each), "log": log[each.key]} for each in found]}

    @blueprint.post("/deliveries/<key>/resend")
    def resend_delivery(key: str) -> dict[str, Any]:
        json_object()
        return delivery_document(_resend(service, key))


def _page(service: Service, state: DeliveryState | None, found: Sequence[Delivery]) -> str:
    """What a delivery tells is linked where it is an incident's; a report or a summary is not."""
    incidents = {each.key: each.signals[0].rpartition(":")[0] for each in found if each.signals}
    known = {incident for incident in set(incidents.values()) if service.store.incident(incident)}
    stopped = [target for target in service.alerts.store.targets() if target.open_since is not None]
    return render_template(
        "deliveries.html",
        deliveries=found,
        incidents={key: incident for key, incident in incidents.items() if incident in known},
        counts=service.alerts.counts(),
        stopped=stopped,
        state=state or "all",
    )


def _state() -> DeliveryState | None:
    given = request.args.get("state", "all")
    if given not in (*DELIVERY_STATES, "all"):
        raise BadRequest(f"state: one of {', '.join(DELIVERY_STATES)}, all, not “{given[:40]}”.")
    return None if given == "all" else given


def _resend(service: Service, key: str) -> Delivery:
    """Raises NotFound."""
    try:
        return service.alerts.resend(key)
    except UnknownDelivery:
        raise NotFound(f"There is no delivery “{key[:80]}”.") from None
