"""What a person decides on an action that an incident proposes. Deciding twice changes nothing.

An action is known by its kind and its words. Approved it stands on the incident, to be executed once under its key;
declined it may still be approved; failed it may be approved again, under the same key.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace

from ordertrace_rules.actions.running import note_running
from ordertrace_rules.actions.targets import MANUAL_REVIEW, ActionRules
from ordertrace_rules.errors import OrdertraceError
from ordertrace_rules.incident_change import change_incident
from ordertrace_rules.stores.protocol import Store
from ordertrace_rules.vocabulary import Action, Incident, ProposedAction


def action_id(proposed: ProposedAction) -> str:
    """`ticket-1a2b3c4d`: the kind, and a hash of the English title."""
    return f"{proposed.kind}-{hashlib.sha256(proposed.title['en'].encode()).hexdigest()[:8]}"


def undecided(incident: Incident) -> list[ProposedAction]:
    """What waits for a person."""
    decided = {action.id for action in incident.actions}
    return [proposed for proposed in incident.proposals if action_id(proposed) not in decided]


def find_action(incident: Incident, wanted: str) -> Action | ProposedAction | None:
    """The action of this id, as decided if it is, else as proposed."""
    decided = next((action for action in incident.actions if action.id == wanted), None)
    return decided or next((each for each in incident.proposals if action_id(each) == wanted), None)


def approve(
    store: Store,
    incident: str,
    wanted: str,
    by: str,
    now: int,
    rules: ActionRules,
    *,
    automatic: bool = False,
) -> Incident:
    """Approve it: a review begins at once, the others are executed by the next tick.

    Raises OrdertraceError where the incident is over, there is no such action, or nothing is configured that
    could execute it.
    """

    def approved(old: Incident, found: Action | ProposedAction) -> Action | None:
        if isinstance(found, Action) and found.state in ("approved", "done"):
            return None
        if not rules.can_do(found.kind):
            raise OrdertraceError(
                f"nothing is configured for {found.kind}: set actions.{found.kind}.url, see docs/actions.md"
            )
        is_review = found.kind == MANUAL_REVIEW
        return Action(
            id=wanted,
            kind=found.kind,
            title=found.title,
            state="done" if is_review else "approved",
            by=by,
            at=now,
            automatic=automatic,
            count=old.open_count,
            finished_at=now if is_review else None,
        )

    note_running(
        store, incident, now
    )  # first: a crash in between leaves work to look for, not work forgotten
    return _decide(store, incident, wanted, approved, now)


def decline(store: Store, incident: str, wanted: str, by: str, now: int) -> Incident:
    """Decline it. Raises OrdertraceError where the incident is over or there is no such action."""

    def declined(_: Incident, found: Action | ProposedAction) -> Action | None:
        if isinstance(found, Action):
            if found.state == "declined":
                return None
            raise OrdertraceError(f"{wanted} was approved by {found.by}: it cannot be declined any more")
        return Action(id=wanted, kind=found.kind, title=found.title, state="declined", by=by, at=now)

    return _decide(store, incident, wanted, declined, now)


def _decide(
    store: Store,
    incident: str,
    wanted: str,
    decision: Callable[[Incident, Action | ProposedAction], Action | None],
    now: int,
) -> Incident:
    """Write the decision; None is none."""

    def decided(old: Incident) -> Incident:
        found = find_action(old, wanted)
        if found is None:
            raise OrdertraceError(f"incident {incident} proposes no action {wanted!r}")
        if not old.is_open:
            raise OrdertraceError(f"incident {incident} is {old.state}: there is nothing to act on")
        action = decision(old, found)
        return old if action is None else with_action(old, action)

    return change_incident(store, incident, decided, now)


def with_action(incident: Incident, action: Action) -> Incident:
    """The incident with this action in place of the one of the same id, the latest decided last."""
    others = (each for each in incident.actions if each.id != action.id)
    return replace(incident, actions=(*others, action))
