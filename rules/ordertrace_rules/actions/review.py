"""The manual review queue: the orders that are still affected by incidents whose review somebody approved.

It is no second copy: an order is in it once it becomes a member, and leaves it when it goes on.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ordertrace_rules.actions.targets import MANUAL_REVIEW
from ordertrace_rules.stores.protocol import Store
from ordertrace_rules.vocabulary import Action, Incident


@dataclass(frozen=True, slots=True)
class Review:
    """An incident whose open orders wait for somebody to look at each."""

    incident: Incident
    approval: Action


def reviews(store: Store) -> list[Review]:
    """The longest waiting first."""
    found = [review for versioned in store.incidents_open() for review in _of(versioned.value)]
    return sorted(found, key=lambda review: (review.approval.at, review.incident.id))


def _of(incident: Incident) -> Iterator[Review]:
    begun: Iterable[Action] = (a for a in incident.actions if a.kind == MANUAL_REVIEW and a.state == "done")
    first = min(begun, key=lambda action: action.at, default=None)
    if first is not None:
        yield Review(incident, first)
