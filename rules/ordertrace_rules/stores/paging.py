"""Pages by key, not by offset: the key of a page is that of the last row before it."""

from collections.abc import Iterator, Sequence

from ordertrace_rules.stores.protocol import Page, Views
from ordertrace_rules.vocabulary import Incident

WALK = 500  # incidents read at once where all of them are wanted


def incidents_since(views: Views, since: int = 0) -> Iterator[Incident]:
    """All incidents detected at `since` or later, the latest first, page by page."""
    page = views.incidents(limit=WALK)
    while True:
        for incident in page.rows:
            if incident.detected_at < since:
                return
            yield incident
        if not page.next:
            return
        page = views.incidents(after=page.next, limit=WALK)


def incident_page(incidents: Sequence[Incident], limit: int) -> Page[Incident]:
    """The page of the first `limit` of these rows; one row more than `limit` says that there is a next."""
    rows = tuple(incidents[:limit])
    more = len(incidents) > limit and rows
    return Page(rows, f"{rows[-1].detected_at}:{rows[-1].id}" if more else "")


def page_position(after: str) -> tuple[int, str]:
    """The (`detected_at`, id) that a page's key names. Raises ValueError for what is no such key."""
    at, colon, incident_id = after.partition(":")
    if not colon or not at.isascii() or not at.isdigit() or len(at) > 19:
        raise ValueError(f"not the key of a page: {after[:60]!r}; begin again without it")
    return int(at), incident_id
