"""`ordertrace worker`: what judges and delivers, without pages and intake: a standby, or the only one that ticks."""

import logging
from contextlib import ExitStack
from pathlib import Path

import click

from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.serve import log_to_terminal, start_schedules, stopped_by_signal
from ordertrace_rules.service import open_service

log = logging.getLogger("ordertrace")


@click.command(
    epilog="""\b
Example:
  ordertrace worker --log-level warning         beside `ordertrace serve`, on the same store
"""
)
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Make this file once the worker runs: for health checks.",
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.pass_obj
def worker(context: Context, ready_file: Path | None, log_level: str) -> None:
    """Judge what comes in and deliver what is to be told, until it is stopped (Ctrl-C or SIGTERM).

    Any number may run beside each other and beside `ordertrace serve` on one store. They divide the `slices` of its
    orders (by default one: then one of them ticks), and take over those of one that dies within seconds. All of
    them deliver.
    """
    log_to_terminal(log_level)
    stop = stopped_by_signal()
    with open_service(context.settings) as service, ExitStack() as stack:
        start_schedules(service, stack)
        click.echo("ordertrace works; Ctrl-C ends it")
        if ready_file is not None:
            ready_file.touch()
        stop.wait()
        log.info("stopping: what is under way is finished first")
