"""`/healthz`: the process answers. `/readyz`: the store answers too. Neither tells anything of an order."""

from typing import Any

from flask import Blueprint

from ordertrace_rules.errors import OrdertraceError
from ordertrace_rules.service import Service
from ordertrace_rules.slices import CHECKPOINT


def health_blueprint(service: Service) -> Blueprint:
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def healthz() -> dict[str, Any]:
        """Alive; `failing` names the schedules whose last run failed, which a restart would not mend."""
        pulses = {"tick": service.pulse, "deliveries": service.alert_pulse}
        return {"status": "ok", "failing": [name for name, pulse in pulses.items() if pulse.last_error]}

    @blueprint.get("/readyz")
    def readyz() -> tuple[dict[str, Any], int]:
        """Ready to answer questions: 503 while the store does not answer."""
        try:
            service.store.checkpoint(CHECKPOINT)
        except (OrdertraceError, OSError):
            return {"status": "unavailable", "store": "does not answer"}, 503
        return {"status": "ok", "store": "answers"}, 200

    return blueprint
