"""The orders of an incident as a list with filters, and as CSV."""

import csv
import io
from collections.abc import Iterable, Iterator

from flask import Blueprint, Response, render_template, request
from werkzeug.exceptions import BadRequest

from ordertrace_rules.rendering.plain import plain
from ordertrace_rules.service import Service
from ordertrace_rules.times import format_instant
from ordertrace_rules.vocabulary import Member, MemberStatus
from ordertrace_rules.web.found import found_incident

PAGE = 100
BATCH = 1_000  # members read at once for CSV
MEMBER_STATES = ("open", "resolved", "withdrawn")
COLUMNS = ("incident", "order", "state", "certainty", "since", "stage", "amount", "currency", "missing")


def add_cohort(blueprint: Blueprint, service: Service) -> None:
    @blueprint.get("/incidents/<incident_id:incident_id>/orders")
    def orders_of_incident(incident_id: str) -> str:
        incident = found_incident(service, incident_id)
        state, states = _state()
        rows = service.store.members(incident.id, states, PAGE + 1, request.args.get("after", ""))
        following = rows[PAGE - 1].id if len(rows) > PAGE else ""
        return render_template(
            "cohort.html", incident=incident, members=rows[:PAGE], state=state, following=following
        )

    @blueprint.get("/incidents/<incident_id:incident_id>/orders.csv")
    def orders_as_csv(incident_id: str) -> Response:
        incident = found_incident(service, incident_id)
        _, states = _state()
        return csv_response(f"{incident.id}.csv", rows_of(members_of(service, incident.id, states)))


def members_of(service: Service, incident: str, states: tuple[MemberStatus, ...]) -> Iterator[Member]:
    """All of them, in batches."""
    after = ""
    while batch := service.store.members(incident, states, BATCH, after):
        yield from batch
        after = batch[-1].id


def rows_of(members: Iterable[Member]) -> Iterator[tuple[object, ...]]:
    """A row for each order of each member; a member that is no order stands for itself."""
    for member in members:
        for order in member.order_ids or (member.subject,):
            yield (
                member.incident,
                order,
                member.state,
                member.certainty,
                format_instant(member.since or member.opened_at),
                member.stage,
                "" if member.amount is None else member.amount,
                member.currency,
                " ".join(member.missing),
            )


def csv_response(name: str, rows: Iterable[tuple[object, ...]]) -> Response:
    """CSV in UTF-8 with the mark by which spreadsheets know it, streamed."""

    def lines() -> Iterator[str]:
        yield "\ufeff" + _csv(COLUMNS)
        for row in rows:
            yield _csv(tuple(_cell(value) for value in row))

    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(lines(), content_type="text/csv; charset=utf-8", headers=headers)


def _csv(row: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(row)
    return out.getvalue()


def _cell(value: object) -> object:
    """A spreadsheet would run what begins like a formula: an apostrophe makes it text."""
    if not isinstance(value, str):
        return value
    shown = plain(value)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown


def _state() -> tuple[str, tuple[MemberStatus, ...]]:
    state = request.args.get("state", "all")
    if state not in (*MEMBER_STATES, "all"):
        raise BadRequest(f"state: one of {', '.join(MEMBER_STATES)}, all, not “{state[:40]}”.")
    return state, () if state == "all" else (state,)
