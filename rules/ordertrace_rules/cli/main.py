"""The `ordertrace` command: one file a subcommand, in this folder."""

import sys
from pathlib import Path
from typing import Any

import click

from ordertrace_rules.cli.alerts import alerts
from ordertrace_rules.cli.backtest import backtest
from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.contrast import contrast
from ordertrace_rules.cli.demo import demo
from ordertrace_rules.cli.doctor import doctor
from ordertrace_rules.cli.drill import drill
from ordertrace_rules.cli.guide import guide
from ordertrace_rules.cli.incidents import incidents
from ordertrace_rules.cli.ingest import ingest
from ordertrace_rules.cli.lint import lint
from ordertrace_rules.cli.migrate import migrate
from ordertrace_rules.cli.playbooks import playbooks
from ordertrace_rules.cli.schema import schema
from ordertrace_rules.cli.serve import serve
from ordertrace_rules.cli.setup import setup
from ordertrace_rules.cli.spans import spans
from ordertrace_rules.cli.store import store
from ordertrace_rules.cli.test import test
from ordertrace_rules.cli.trace import trace
from ordertrace_rules.cli.worker import worker
from ordertrace_rules.errors import ConfigError, OrdertraceError

EPILOG = """\b
Examples:
  ordertrace demo                               the main job, on this machine, in a minute
  ordertrace serve                              the rules service, on http://127.0.0.1:8321
  ordertrace trace SO-1001                      where is this order, since when
  ordertrace backtest --events day.jsonl        what would have been said

Shell completion: eval "$(_ORDERTRACE_COMPLETE=bash_source ordertrace)"   (or zsh_source, fish_source)
"""


class Commands(click.Group):
    """Turns our own errors, and those of files, into one clear message and exit code 2, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            count = len(error.problems)
            click.echo(str(error), err=True)
            click.echo(
                f"ordertrace: {count} problem{'s' if count != 1 else ''} in the configuration", err=True
            )
            sys.exit(2)
        except OrdertraceError as error:
            click.echo(f"ordertrace: {error}", err=True)
            sys.exit(2)
        except OSError as error:
            if error.filename is None:  # such as a pipe that its reader closed, which click knows
                raise
            why = f"{error.filename}: {error.strerror}; check the path and its permissions"
            click.echo(f"ordertrace: {why}", err=True)
            sys.exit(2)


@click.group(
    cls=Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="ordertrace")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="ORDERTRACE_CONFIG",
    help="The configuration file. Default: ./ordertrace.yaml, if there is one.",
)
@click.pass_context
def ordertrace(ctx: click.Context, config: Path | None) -> None:
    """Where is the order, since when, why, how many others, who does what now."""
    ctx.obj = Context(config)


for command in (
    alerts,
    backtest,
    contrast,
    demo,
    doctor,
    drill,
    guide,
    incidents,
    ingest,
    lint,
    migrate,
    playbooks,
    schema,
    serve,
    setup,
    spans,
    store,
    test,
    trace,
    worker,
):
    ordertrace.add_command(command)
