"""What an address names, or the page that says that there is none."""

from werkzeug.exceptions import NotFound

from ordertrace_rules.service import Service
from ordertrace_rules.vocabulary import Incident


def found_incident(service: Service, incident_id: str) -> Incident:
    """Raises NotFound."""
    versioned = service.store.incident(incident_id)
    if versioned is None:
        raise NotFound(f"There is no incident “{incident_id}”.")
    return versioned.value
