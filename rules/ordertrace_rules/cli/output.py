"""Where commands print tables: as wide as the terminal, and wide enough for whole ids in a pipe or a file."""

import sys

import click
from rich.console import Console

PIPE_WIDTH = 200  # columns; rich would cut ids at 80


def output_console() -> Console:
    """A console on standard output that marks nothing up by guesswork."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


output_option = click.option(
    "--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
"""For commands that programs read too."""
