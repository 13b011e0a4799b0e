"""`ordertrace-instrument`: start a service with its libraries hooked, with no change of its code."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ordertrace_instrumentation import autoload
from ordertrace_instrumentation.integrations import DISABLED, Outcome, instrument_all, survey
from ordertrace_instrumentation.misspelt import misspelt_variables
from ordertrace_instrumentation.settings import VARIABLES

EPILOG = """\
examples:
  ordertrace-instrument --service payment python app.py
  ordertrace-instrument --service web gunicorn -w 4 shop:app
  ordertrace-instrument --service web flask --app shop run
  ordertrace-instrument --service worker celery -A tasks worker
  ordertrace-instrument --service sync --transport forward://collector:24224 python -m sync
  ordertrace-instrument --list

Everything else is set by environment variables (ORDERTRACE_TRANSPORT, ORDERTRACE_SPOOL_DIR,
ORDERTRACE_ORDER_ID_PATTERNS, ORDERTRACE_DISABLED_INSTRUMENTATIONS, …): docs/instrumentation.md lists them.
What is hooked in a service, and why not: ordertrace doctor --service app:app
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Become the command that was given. Returns an exit code only where that cannot be."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.list:
        instrument_all()
        print(_table(survey()))
        return 0
    if not given.command:
        parser.error("say which command to start, such as: ordertrace-instrument python app.py")
    command: str = given.command[0]
    program = shutil.which(command)
    if program is None:
        print(f"ordertrace-instrument: {_not_a_command(command)}", file=sys.stderr)
        return 127
    for name, meant in misspelt_variables(os.environ, (*VARIABLES, DISABLED)):
        print(f"ordertrace-instrument: {name} is no setting: did you mean {meant}?", file=sys.stderr)
    os.environ.update(_environment(given.service, given.transport))
    try:
        os.execv(program, given.command)
    except OSError as error:
        print(f"ordertrace-instrument: {program} cannot be started: {error.strerror}", file=sys.stderr)
        return 126


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "ordertrace-instrument",
        description="Start a service with its libraries hooked: its log lines name the order, and are shipped where "
        "a transport is set. The service's code, formats and handlers stay as they are.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--service", metavar="NAME", help="the service's name (ORDERTRACE_SERVICE)")
    parser.add_argument(
        "--transport",
        metavar="TARGETS",
        help="stdout, file:PATH, forward://HOST:PORT or otlp; several with commas (ORDERTRACE_TRANSPORT)",
    )
    parser.add_argument("--list", action="store_true", help="list what can be hooked here, and end")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND …", help="what to start")
    return parser


def _environment(service: str | None, transport: str | None) -> dict[str, str]:
    """What the command's environment gets: our directory goes before all others on PYTHONPATH."""
    place = str(Path(autoload.__file__).parent)
    others = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part not in ("", place)]
    found = {
        "PYTHONPATH": os.pathsep.join([place, *others]),
        "ORDERTRACE_LAUNCHED": str(os.getpid()),  # the command keeps the number
        "ORDERTRACE_SERVICE": service,
        "ORDERTRACE_TRANSPORT": transport,
    }
    return {name: value for name, value in found.items() if value is not None}


def _not_a_command(command: str) -> str:
    if command.endswith(".py"):
        return f"{command} is no command; start it by Python: ordertrace-instrument python {command}"
    return f"there is no command {command!r} on PATH; is the service's virtual environment active?"


def _table(outcomes: Sequence[Outcome]) -> str:
    width = max(len(outcome.name) for outcome in outcomes)
    words = {"waiting": "ready", "instrumented": "ready"}
    lines = [
        f"{o.name:<{width}}  {words.get(o.state, o.state):<8} {o.version or '-':<9} {_why(o)}".rstrip()
        for o in outcomes
    ]
    return "\n".join([*lines, "", f"{DISABLED} leaves out those that it names; * all of them."])


def _why(outcome: Outcome) -> str:
    return "" if outcome.state in ("waiting", "instrumented") else outcome.why


if __name__ == "__main__":
    sys.exit(main())
