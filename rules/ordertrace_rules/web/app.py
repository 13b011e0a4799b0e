"""The web part as a Flask application: pages, API, health and metrics over one `Service`."""

import importlib.metadata

from flask import Flask

from ordertrace_rules.intake.http import events_blueprint
from ordertrace_rules.intake.otlp import otlp_blueprint
from ordertrace_rules.rendering.visible import visible
from ordertrace_rules.service import Service
from ordertrace_rules.web.access import Access
from ordertrace_rules.web.api import api_blueprint
from ordertrace_rules.web.headers import add_headers
from ordertrace_rules.web.health import health_blueprint
from ordertrace_rules.web.language import follow_language
from ordertrace_rules.web.metrics import metrics_blueprint
from ordertrace_rules.web.pages import pages_blueprint
from ordertrace_rules.web.problems import register_problems
from ordertrace_rules.web.routes import IncidentId, OrderId

MAX_BODY = 16 * 1024 * 1024
"""The largest request that is read, in bytes; a sender of events posts more in several requests."""


def create_app(service: Service) -> Flask:
    """Build the application. It starts no thread, opens nothing, and may be built many times."""
    app = Flask("ordertrace_rules.web")
    app.url_map.merge_slashes = False  # an order id may hold two slashes in a row
    app.url_map.converters |= {"order_id": OrderId, "incident_id": IncidentId}
    app.jinja_options = {"finalize": visible, "trim_blocks": True, "lstrip_blocks": True}
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.config["ORDERTRACE_VERSION"] = _version()
    follow_language(app, service.settings.language)
    Access(service.settings).protect(app)
    register_problems(app)
    app.after_request(add_headers)
    app.register_blueprint(health_blueprint(service))
    app.register_blueprint(metrics_blueprint(service))
    app.register_blueprint(api_blueprint(service))
    app.register_blueprint(events_blueprint(service.intake, service.settings.sources, service.settings.token))
    app.register_blueprint(otlp_blueprint(service.intake, service.settings.token))
    app.register_blueprint(pages_blueprint(service))
    return app


def _version() -> str:
    try:
        return importlib.metadata.version("ordertrace")
    except importlib.metadata.PackageNotFoundError:
        return "0"
