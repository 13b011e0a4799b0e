"""Approved actions become deliveries of the outbox, and what became of those goes back onto the incident.

The outbox claims, signs, retries and gives up as it does with messages. A delivery is there once, by the action's
key: handing it over twice changes nothing. Between the post and its record a crash may repeat the post under the
same key, and the target can tell. Every step may be repeated.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from ordertrace_alerting.pipeline import Pipeline
from ordertrace_alerting.vocabulary import Delivery
from ordertrace_rules.actions.decisions import action_id, approve, undecided, with_action
from ordertrace_rules.actions.running import running, strike_off
from ordertrace_rules.actions.targets import ActionRules, target_name
from ordertrace_rules.catalogue import Catalogue
from ordertrace_rules.errors import OrdertraceError, StoreUnavailable
from ordertrace_rules.incident_change import change_incident
from ordertrace_rules.stores.protocol import Store
from ordertrace_rules.times import DAY, format_instant
from ordertrace_rules.vocabulary import Action, Incident

OURSELVES = "ordertrace"  # who approves what is safe, where the site lets it
MOST_ORDERS = 1_000  # in a body; the others are behind its link
PATIENCE = DAY  # what was not handed over by then nobody expects any more

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Execution:
    """What it takes to execute: the parts, and where the pages are."""

    store: Store
    catalogue: Catalogue
    outbox: Pipeline
    rules: ActionRules
    base_url: str

    def tick(self, now: int) -> None:
        """Approve what is safe where the site lets us, hand over what is approved, note what became of it."""
        if self.rules.automatic:
            self._approve_safe(now)
        noted = running(self.store)
        if noted:
            finished = {incident for incident in noted if not self._advanced(incident, now)}
            strike_off(self.store, finished, now)

    def _approve_safe(self, now: int) -> None:
        """Only of incidents that are firm, were announced, and are no other's consequence."""
        for versioned in self.store.incidents_open():
            incident = versioned.value
            if incident.certainty != "firm" or not incident.announced or incident.explained_by:
                continue
            for proposed in undecided(incident):
                if proposed.safe and self.rules.can_do(proposed.kind):
                    wanted = action_id(proposed)
                    try:
                        approve(self.store, incident.id, wanted, OURSELVES, now, self.rules, automatic=True)
                    except StoreUnavailable:
                        raise
                    except OrdertraceError as error:
                        log.warning("%s of %s is tried again: %s", wanted, incident.id, error)

    def _advanced(self, incident_id: str, now: int) -> bool:
        """As `_advance`; what goes wrong with one incident is told and tried again, and holds up no other."""
        try:
            return self._advance(incident_id, now)
        except StoreUnavailable:
            raise
        except OrdertraceError as error:
            log.warning("actions of %s are tried again: %s", incident_id, error)
            return True

    def _advance(self, incident_id: str, now: int) -> bool:
        """Whether anything of the incident is still under way."""
        versioned = self.store.incident(incident_id)
        if versioned is None:
            return False
        under_way = [action for action in versioned.value.actions if action.state == "approved"]
        changed = [self._executed(versioned.value, action, now) for action in under_way]
        news = [new for old, new in zip(under_way, changed, strict=True) if new != old]
        if news:
            change_incident(self.store, incident_id, lambda old: _with_news(old, news), now)
        return any(action.state == "approved" for action in changed)

    def _executed(self, incident: Incident, action: Action, now: int) -> Action:
        """The action as the outbox has it now."""
        key = f"{incident.id}:{action.id}"
        delivery = self.outbox.delivery(key)
        if delivery is None:
            if now - action.at > PATIENCE:
                why = "not handed over within a day after its approval, and not done any more"
                return replace(action, state="failed", finished_at=now, result=why)
            self.outbox.deliver(self._delivery(key, incident, action, now))
            return action
        if delivery.state == "dead" and (delivery.finished_at or 0) < action.at:  # approved again since
            self.outbox.resend(key)
            return action
        if delivery.state == "pending":
            return replace(action, result=delivery.detail)
        state = "done" if delivery.state == "sent" else "failed"
        return replace(action, state=state, finished_at=delivery.finished_at, result=delivery.detail)

    def _delivery(self, key: str, incident: Incident, action: Action, now: int) -> Delivery:
        return Delivery(
            key=key,
            group=key,
            flush=1,
            target=target_name(action.kind),
            part=0,
            signals=(),
            title=f"{action.kind}: {action.title['en']} ({incident.id})",
            created_at=now,
            body=self._body(key, incident, action),
            queued_at=now,
            next_attempt_at=now,
        )

    def _body(self, key: str, incident: Incident, action: Action) -> str:
        """What the target gets: who is affected, by which incident, who approved it."""
        playbook = self.catalogue.playbook(incident.playbook)
        cause = incident.diagnosis.cause if incident.diagnosis is not None else None
        page = f"{self.base_url}/incidents/{incident.id}"
        orders = self._orders(incident.id)
        data = {
            "key": key,
            "kind": action.kind,
            "title": dict(action.title),
            "approved_by": action.by,
            "approved_at": format_instant(action.at),
            "automatic": action.automatic,
            "incident": incident.id,
            "playbook": incident.playbook,
            "verdict": dict(playbook.verdict) if playbook is not None else None,
            "owner": playbook.owner if playbook is not None else "",
            "severity": incident.severity,
            "certainty": incident.certainty,
            "since": format_instant(incident.since or incident.opened_at),
            "cause": cause.service if cause is not None else None,
            "count": incident.open_count,
            "orders": list(orders),
            "orders_are_all": len(orders) < MOST_ORDERS,
            "url": page,
            "orders_url": f"{page}/orders.csv?state=open",
        }
        document = {
            "type": f"ordertrace.action.{action.kind}",
            "timestamp": format_instant(action.at),
            "data": data,
        }
        return json.dumps(document, ensure_ascii=True, separators=(",", ":"))

    def _orders(self, incident: str) -> Sequence[str]:
        members = self.store.members(incident, ("open",), limit=MOST_ORDERS)
        return list(islice((order for member in members for order in member.order_ids), MOST_ORDERS))


def _with_news(incident: Incident, news: Sequence[Action]) -> Incident:
    """The actions as they are now, but for those that were decided on anew meanwhile."""
    for action in news:
        present = next((each for each in incident.actions if each.id == action.id), None)
        if present is not None and (present.state, present.at) == ("approved", action.at):
            incident = with_action(incident, action)
    return incident
