"""What a service that was started with no change of code gets beside its hooked libraries: shipping."""

import os
import threading

from ordertrace_instrumentation.capture import capture_logging
from ordertrace_instrumentation.complaints import no_harm
from ordertrace_instrumentation.settings import ENVIRONMENT, read_settings
from ordertrace_instrumentation.shim import current_shim

BEGIN_AFTER = 1.0  # seconds


def ship_what_is_logged() -> None:
    """With a transport in the environment, ship each record of INFO and above beside the service's own handlers,
    unless ORDERTRACE_CAPTURE_LOGGING says no. Without one, do nothing.

    The heartbeats of a service that says nothing begin after a second: until then a launcher (`flask`, `env`, another
    instrumenting command) may still become another program, and would never say goodbye.
    """
    if not any(os.environ.get(variable, "").strip() for variable in ENVIRONMENT["transport"]):
        return
    for variable in ENVIRONMENT["capture_logging"]:
        os.environ.setdefault(variable, "true")
    settings, _ = read_settings({})
    if settings.capture_logging:
        capture_logging(True)
    timer = threading.Timer(BEGIN_AFTER, _begin)
    timer.name, timer.daemon = "ordertrace-start", True
    timer.start()


def _begin() -> None:
    with no_harm("the service's heartbeats"):
        current_shim()
