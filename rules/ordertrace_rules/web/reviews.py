"""The manual review queue: as a page, as CSV, and for the API."""

from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, render_template

from ordertrace_rules.actions.review import Review, reviews
from ordertrace_rules.service import Service
from ordertrace_rules.times import format_instant
from ordertrace_rules.web.cohort import csv_response, members_of, rows_of

SHOWN = 50  # orders of an incident on the page


def add_review_pages(blueprint: Blueprint, service: Service) -> None:
    @blueprint.get("/reviews")
    def review_page() -> str:
        queue = [
            (each, service.store.members(each.incident.id, ("open",), SHOWN))
            for each in reviews(service.store)
        ]
        playbooks = {p.id: p for p in service.catalogue.playbooks}
        return render_template("reviews.html", queue=queue, playbooks=playbooks)

    @blueprint.get("/reviews.csv")
    def reviews_as_csv() -> Response:
        return csv_response("reviews.csv", _rows(service, reviews(service.store)))


def add_reviews(blueprint: Blueprint, service: Service) -> None:
    @blueprint.get("/reviews")
    def review_queue() -> dict[str, Any]:
        return {"reviews": [_document(each) for each in reviews(service.store)]}


def _rows(service: Service, queue: list[Review]) -> Iterator[tuple[object, ...]]:
    for each in queue:
        yield from rows_of(members_of(service, each.incident.id, ("open",)))


def _document(review: Review) -> dict[str, Any]:
    return {
        "incident": review.incident.id,
        "playbook": review.incident.playbook,
        "open": review.incident.open_count,
        "approved_by": review.approval.by,
        "approved_at": format_instant(review.approval.at),
    }
