"""The pages: open incidents, those in every state, a guide, an order, a search.

Made on the server; they refresh by ETag.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, g, make_response, redirect, render_template, request
from markupsafe import Markup
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response as AnyResponse

from ordertrace_alerting.policy import Silence
from ordertrace_rules.actions.decisions import action_id, undecided
from ordertrace_rules.feedback import playbook_stats
from ordertrace_rules.kibana import CohortUrl, site_kibana
from ordertrace_rules.relay import guide_of, journeys_of
from ordertrace_rules.service import Service
from ordertrace_rules.times import DAY, format_instant
from ordertrace_rules.trace import Trace, as_pasted, orders_meant, trace_order
from ordertrace_rules.vocabulary import Guide, Incident, Member, Playbook, Text, in_language
from ordertrace_rules.web.api import INCIDENT_STATES
from ordertrace_rules.web.cohort import add_cohort
from ordertrace_rules.web.deliveries import add_delivery_pages
from ordertrace_rules.web.found import found_incident
from ordertrace_rules.web.gantt import gantt
from ordertrace_rules.web.incident_acts import asked_days
from ordertrace_rules.web.incident_forms import add_forms
from ordertrace_rules.web.language import duration_text, say, sentences, tick_text, time_text
from ordertrace_rules.web.live import live
from ordertrace_rules.web.order_sentence import order_sentence
from ordertrace_rules.web.reviews import add_review_pages
from ordertrace_rules.web.routes import incident_path, order_path
from ordertrace_rules.web.silences import add_silence_pages, kept_silences, mark_of, matchers_of, muting

OPEN = ("open", "acknowledged")
PAGE = 50
HITS = 20
LINES = 500  # log lines on an order's page
MEMBERS = 50  # orders listed under a guide


def pages_blueprint(service: Service) -> Blueprint:
    blueprint = Blueprint("pages", __name__)

    @blueprint.app_context_processor
    def words() -> dict[str, Any]:
        return _words(service)

    @blueprint.get("/")
    def incidents() -> AnyResponse:
        kept = kept_silences(service)
        return live(service, partial(_incidents_page, service, "", OPEN, kept), mark_of(kept))

    @blueprint.get("/incidents")
    def recent_incidents() -> AnyResponse:
        state = request.args.get("state", "all")
        if state not in (*INCIDENT_STATES, "all"):
            raise BadRequest(f"state: one of {', '.join(INCIDENT_STATES)}, all, not “{state[:40]}”.")
        states = () if state == "all" else (state,)
        kept = kept_silences(service)
        return live(service, partial(_incidents_page, service, state, states, kept), mark_of(kept))

    @blueprint.get("/incidents/<incident_id:incident_id>")
    def incident(incident_id: str) -> AnyResponse:
        found = found_incident(service, incident_id)
        kept = kept_silences(service)
        return live(service, partial(_incident_page, service, found, kept), mark_of(kept))

    add_cohort(blueprint, service)
    add_forms(blueprint, service)
    add_review_pages(blueprint, service)
    add_silence_pages(blueprint, service)
    add_delivery_pages(blueprint, service)

    @blueprint.get("/playbooks")
    def playbooks() -> AnyResponse:
        return live(service, partial(_playbooks_page, service, asked_days()))

    @blueprint.get("/orders/", defaults={"order_id": ""})
    @blueprint.get("/orders/<order_id:order_id>")
    def order(order_id: str) -> AnyResponse:
        wanted = order_id or request.args.get("id", "")
        return live(service, partial(_order_page, service, wanted))

    @blueprint.get("/search")
    def search() -> AnyResponse:
        q = as_pasted(request.args.get("q", ""))
        hits = orders_meant(service, q, HITS) if q else []
        if len(hits) == 1:
            return redirect(order_path(hits[0].order_id))
        kept_aside = sum(service.store.count_kept_aside().values())
        page = render_template("search.html", q=q, hits=hits, kept_aside=kept_aside)
        return make_response(page, 200 if hits else 404 if q else 400)

    return blueprint


def _incidents_page(
    service: Service, state: str, states: Collection[str], silences: Sequence[Silence]
) -> str:
    """The incidents in `states`, the latest first; `state` is the name of that choice, "" on the first page."""
    try:
        page = service.views.incidents(states=states, after=request.args.get("after", ""), limit=PAGE)
    except ValueError as error:
        raise BadRequest(str(error)) from None
    playbooks = {p.id: p for p in service.catalogue.playbooks}
    # What another incident explains stands after what needs somebody.
    rows = page.rows if state else sorted(page.rows, key=lambda incident: bool(incident.explained_by))
    return render_template(
        "incidents.html",
        incidents=rows,
        playbooks=playbooks,
        silences=silences,
        muting=muting,
        state=state,
        older=urlencode({**({"state": state} if state else {}), "after": page.next}) if page.next else "",
    )


def _incident_page(service: Service, incident: Incident, kept: Sequence[Silence]) -> str:
    playbook = service.catalogue.playbook(incident.playbook)
    now = service.clock.now()
    guide = None
    if playbook is not None:
        guide = guide_of(service.store, service.catalogue, incident, playbook, request.host_url, now)
    members = service.store.members(incident.id, ("open",), MEMBERS) or service.store.members(
        incident.id, limit=MEMBERS
    )
    return render_template(
        "incident.html",
        incident=incident,
        playbook=playbook,
        guide=guide,
        members=members,
        guide_html=Markup(_guide_html(service, guide)) if guide is not None else "",
        proposed=[(each, action_id(each)) for each in undecided(incident)],
        can_do=service.actions.can_do,
        searched=_search_of_members(service, incident, playbook, members),
        muted_by=muting(kept, incident, playbook, now),
        matchers=matchers_of(incident, playbook),
    )


def _playbooks_page(service: Service, days: int) -> str:
    loaded = service.catalogue.playbooks
    counted = playbook_stats(service.views, loaded, service.clock.now() - days * DAY)
    return render_template("playbooks.html", stats=counted, playbooks={p.id: p for p in loaded}, days=days)


def _guide_html(service: Service, guide: Guide) -> str:
    """The page lists orders itself, with what it knows of each, and actions, with their forms."""
    sections = tuple(section for section in guide.sections if section.id not in ("actions", "orders"))
    return service.templates.render("html", replace(guide, sections=sections), g.language)


def _order_page(service: Service, order_id: str) -> str:
    trace = trace_order(service, order_id)
    if trace is None:
        raise NotFound(say(g.language, "order.none", order=order_id))
    pictures = [(traced, gantt(traced, trace.now)) for traced in trace.journeys]
    return render_template(
        "order.html",
        trace=trace,
        sentence=order_sentence(trace, g.language),
        pictures=[(traced, picture) for traced, picture in pictures if picture is not None],
        events=trace.events[-LINES:],
        search_href=_search_href(service, trace),
    )


def _search_of_members(
    service: Service, incident: Incident, playbook: Playbook | None, members: Sequence[Member]
) -> CohortUrl:
    """The search for the log lines of the members that the page lists."""
    kibana = site_kibana(service.settings)
    known = journeys_of(service.store, playbook, members) if playbook is not None and kibana.url else None
    ended = None if incident.is_open else incident.resolved_at or incident.updated_at
    return kibana.cohort(members, known or {}, ended, MEMBERS)


def _search_href(service: Service, trace: Trace) -> str:
    """The search for this order's log lines, from its first to its last, or to now while a journey goes on."""
    journey = trace.main.journey
    started = journey.started_at if journey.started_at is not None else trace.now
    start = trace.events[0].timestamp if trace.events else started
    is_over = bool(trace.events) and all(traced.journey.ended_at is not None for traced in trace.journeys)
    end = trace.events[-1].timestamp if is_over else None
    return site_kibana(service.settings).order(trace.order_id, journey.refs, start, end)


def _words(service: Service) -> dict[str, Any]:
    """What templates speak with."""
    language: str = g.language
    now = service.clock.now()

    def text(sentence: Text) -> str:
        return in_language(sentence, language)

    def name(playbook: Playbook | None, otherwise: str) -> str:
        """What a link to an incident is called: its playbook's title and verdict."""
        return f"{text(playbook.title)}: {text(playbook.verdict)}" if playbook is not None else otherwise

    def name_of(incident_id: str) -> str:
        found = service.store.incident(incident_id)
        return name(service.catalogue.playbook(found.value.playbook) if found else None, incident_id)

    def ref_name(kind: str) -> str:
        return say(language, f"ref.{kind}") if f"ref.{kind}" in sentences() else kind

    def duration(nanoseconds: int) -> str:
        return duration_text(nanoseconds, language)

    def time(instant: int) -> str:
        return time_text(instant, now)

    def tick(instant: int) -> str:
        return tick_text(instant, now)

    return {
        "language": language,
        "other_language": "en" if language == "zh" else "zh",
        "now": now,
        "time_scale": service.settings.time_scale,
        "say": partial(say, language),
        "text": text,
        "name": name,
        "name_of": name_of,
        "ref_name": ref_name,
        "duration": duration,
        "time": time,
        "tick": tick,
        "rfc3339": format_instant,
        "money": money,
        "order_path": order_path,
        "incident_path": incident_path,
        "safe_href": safe_href,
        "lang_query": _lang_query,
    }


def money(amount: float, currency: str) -> str:
    """`12,345.60 CNY`."""
    return f"{amount:,.2f} {currency}".strip()


def safe_href(href: str) -> str:
    """A link of a guide, where it leads to a page of ours or over HTTP; else nothing."""
    return href if href.startswith(("https://", "http://")) or (href[:1] == "/" and href[:2] != "//") else ""


def _lang_query(language: str) -> str:
    """The address of this page in another language."""
    kept = [(k, v) for k, v in request.args.items(multi=True) if k != "lang"]
    return "?" + urlencode([*kept, ("lang", language)])
