"""Silences: those that hold, are to begin or are over, as a page with its forms and for the API."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from flask import Blueprint, redirect, render_template, request
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response

from ordertrace_alerting.errors import BadSilence, UnknownSilence
from ordertrace_alerting.policy import Matcher, Silence
from ordertrace_alerting.silences import SILENCE_STATES, expire, mutes, state_of
from ordertrace_rules.relay import signal_labels
from ordertrace_rules.service import Service
from ordertrace_rules.silences import SilenceAsked, begin_silence, silence_document
from ordertrace_rules.times import parse_duration
from ordertrace_rules.vocabulary import Incident, Playbook
from ordertrace_rules.web.access import check_form
from ordertrace_rules.web.bodies import asked_states, json_object
from ordertrace_rules.web.live import live
from ordertrace_rules.web.routes import local_path

ENDED_SHOWN = 50  # of those that are over, on the page
DURATIONS = ("30m", "1h", "2h", "4h", "8h", "1d", "3d", "7d")  # that the form offers


def add_silence_pages(blueprint: Blueprint, service: Service) -> None:
    @blueprint.get("/silences")
    def silences_page() -> Response:
        kept = kept_silences(service)
        return live(service, partial(_page, service, kept), mark_of(kept))

    @blueprint.post("/silences")
    def begin_silence_on_page() -> Response:
        check_form()
        form = request.form
        until = form.get("until", "")
        _begin(
            service,
            SilenceAsked(
                matchers=[line for line in form.get("matchers", "").splitlines() if line.strip()],
                author=form.get("by", ""),
                reason=form.get("reason", ""),
                lasts="" if until else form.get("duration", ""),
                until=until,
                starts=form.get("starts_at", ""),
            ),
        )
        return redirect(local_path(form.get("next", "/silences")), 303)

    @blueprint.post("/silences/<silence_id>/end")
    def end_silence_on_page(silence_id: str) -> Response:
        check_form()
        _end(service, silence_id)
        return redirect(local_path(request.form.get("next", "/silences")), 303)

    @blueprint.app_context_processor
    def words() -> dict[str, Any]:
        return {"silence_durations": [(each, parse_duration(each)) for each in DURATIONS]}


def add_silences(blueprint: Blueprint, service: Service) -> None:
    @blueprint.get("/silences")
    def silences() -> dict[str, Any]:
        now = service.clock.now()
        states = asked_states(SILENCE_STATES)
        rows = [silence_document(each, now) for each in kept_silences(service)]
        return {"silences": [row for row in rows if not states or row["state"] in states]}

    @blueprint.post("/silences")
    def add_silence() -> tuple[dict[str, Any], int]:
        body = json_object()
        matchers = body.get("matchers")
        if not isinstance(matchers, list) or not all(isinstance(each, str) for each in matchers):  # pyright: ignore[reportUnknownVariableType]
            raise BadRequest("matchers: a list of texts such as 'playbook = \"paid_not_reserved\"'.")
        asked = SilenceAsked(
            matchers,  # pyright: ignore[reportUnknownArgumentType]
            *(_text(body, name) for name in ("by", "reason", "duration", "ends_at", "starts_at")),
        )
        return silence_document(_begin(service, asked), service.clock.now()), 201

    @blueprint.post("/silences/<silence_id>/end")
    def end_silence(silence_id: str) -> dict[str, Any]:
        json_object()
        return silence_document(_end(service, silence_id), service.clock.now())


def kept_silences(service: Service) -> list[Silence]:
    """All that are kept, by their end: those that are over too, for as long as alerting keeps what is finished."""
    return service.alerts.store.silences(0)


def muting(kept: Sequence[Silence], incident: Incident, playbook: Playbook | None, now: int) -> list[Silence]:
    """The silences for which the incident is not told at `now`."""
    labels = signal_labels(incident, playbook.owner if playbook else "")
    return [each for each in kept if mutes(each, labels, now)]


def matchers_of(incident: Incident, playbook: Playbook | None) -> list[str]:
    """What a silence could say to mean this incident: first that which means no other."""
    labels = signal_labels(incident, playbook.owner if playbook else "")
    return [
        str(Matcher(name, "=", labels[name])) for name in ("incident", "playbook", "owner") if labels[name]
    ]


def mark_of(kept: Sequence[Silence]) -> str:
    """What changes with each silence that begins or is ended."""
    return " ".join(f"{each.id}:{each.starts_at}:{each.ends_at}" for each in kept)


def _page(service: Service, kept: Sequence[Silence]) -> str:
    now = service.clock.now()
    by_state = {state: [each for each in kept if state_of(each, now) == state] for state in SILENCE_STATES}
    by_state["ended"] = by_state["ended"][::-1][:ENDED_SHOWN]
    return render_template("silences.html", by_state=by_state)


def _begin(service: Service, asked: SilenceAsked) -> Silence:
    """Raises BadRequest."""
    try:
        return begin_silence(service.alerts.store, asked, service.clock.now())
    except BadSilence as error:
        raise BadRequest(f"{error}.") from None


def _end(service: Service, silence_id: str) -> Silence:
    """The silence, over: ended now, or before. Raises NotFound."""
    store = service.alerts.store
    try:
        return expire(store, silence_id, service.clock.now())
    except UnknownSilence:
        over = next((each for each in kept_silences(service) if each.id == silence_id), None)
        if over is None:
            raise NotFound(f"There is no silence “{silence_id[:80]}”.") from None
        return over


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise BadRequest(f"{name}: a text.")
    return value
