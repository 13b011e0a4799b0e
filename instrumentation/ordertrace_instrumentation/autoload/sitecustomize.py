"""Run by Python before the service: hook its libraries, then hand on to the sitecustomize that was there before.

Whatever fails here is said in one line, and the service starts as it would without.
"""

import importlib.util
import os
import sys
from importlib.machinery import PathFinder


def _instrument() -> None:
    try:
        integrations = importlib.import_module("ordertrace_instrumentation.integrations")
        autostart = importlib.import_module("ordertrace_instrumentation.autostart")
        integrations.instrument_all()
        autostart.ship_what_is_logged()
    except Exception as error:  # noqa: BLE001
        # Said by the process that was launched, not by each Python that it starts in its turn.
        if os.environ.get("ORDERTRACE_LAUNCHED") == str(os.getpid()):
            print(
                f"ordertrace: {sys.executable} runs without instrumentation ({type(error).__name__}: {error}); "
                "pip install ordertrace for that Python",
                file=sys.stderr,
            )


def _hand_on() -> None:
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib would cost the start 5 ms
    others = [place for place in sys.path if os.path.abspath(place or ".") != here]  # noqa: PTH100
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


_instrument()
_hand_on()
