"""What an address names, or the page that says that there is none."""

from werkzeug.exceptions import NotFound

from ordertrace_rules.actions.decisions import find_action
from ordertrace_rules.service import Service
from ordertrace_rules.vocabulary import Incident


def found_incident(service: Service, incident_id: str) -> Incident:
    """Raises NotFound."""
    versioned = service.store.incident(incident_id)
    if versioned is None:
        raise NotFound(f"There is no incident “{incident_id}”.")
    return versioned.value


def found_action(incident: Incident, action_id: str) -> None:
    """Raises NotFound where the incident neither proposes such an action nor has one."""
    if find_action(incident, action_id) is None:
        raise NotFound(f"The incident proposes no action “{action_id[:80]}”.")
