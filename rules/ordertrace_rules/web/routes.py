"""Addresses of orders and incidents: an order's id may hold anything, slashes and dots too."""

from urllib.parse import quote

from werkzeug.routing import BaseConverter


class OrderId(BaseConverter):
    """Whatever follows, to the end of the path."""

    regex = r"(?s:.+)"
    part_isolating = False
    weight = 200


class IncidentId(BaseConverter):
    """`paid_not_reserved-1`, or with the hash of a group in between."""

    regex = r"[A-Za-z0-9_.-]{1,200}"


def order_path(order_id: str) -> str:
    """The path of an order's page. Every character that could mean something in a path is encoded.

    Browsers take `.` and `..` as steps, encoded or not: those two ids go into the query.
    """
    if order_id in (".", ".."):
        return f"/orders/?id={order_id}"
    return f"/orders/{quote(order_id, safe='', errors='replace')}"


def incident_path(incident_id: str) -> str:
    """The path of an incident's page."""
    return f"/incidents/{quote(incident_id, safe='')}"


def local_path(target: str) -> str:
    """`target` if it leads to a page of ours, else the first page: never to another site."""
    if target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable():
        return target
    return "/"
