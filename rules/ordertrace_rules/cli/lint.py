"""`ordertrace lint`: every mistake in configuration, processes, playbooks and mappings, with the way out."""

import json
import sys
from pathlib import Path

import click

from ordertrace_rules.cli.context import Context
from ordertrace_rules.drafts import SHIPPED
from ordertrace_rules.errors import ConfigError
from ordertrace_rules.lint import Linted, configured_paths, lint_paths, show
from ordertrace_rules.settings import Settings


@click.command(
    epilog="""\b
Examples:
  ordertrace lint playbooks/ processes/refunds.yaml
  ordertrace lint                       what the configuration names

Exit code: 0 clean, 1 with problems, 2 on wrong usage.
"""
)
@click.argument("paths", type=click.Path(exists=True, path_type=Path), nargs=-1)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def lint(context: Context, paths: tuple[Path, ...], form: str) -> None:
    """Check processes, playbooks, mappings and settings; all problems at once, each with the way out."""
    linted = _lint(context, paths)
    if form == "json":
        click.echo(json.dumps(_as_data(linted), indent=2, ensure_ascii=False))
    else:
        for problem in linted.problems:
            click.echo(show(problem) + "\n")
        click.echo(_summary(linted), err=bool(linted.problems))
    sys.exit(1 if linted.problems else 0)


def _lint(context: Context, paths: tuple[Path, ...]) -> Linted:
    try:
        settings: Settings | None = context.settings
    except ConfigError as error:
        linted = lint_paths(paths, None)
        problems = dict.fromkeys((*error.problems, *linted.problems))
        return Linted(linted.files, tuple(problems))
    named = list(paths) or configured_paths(settings) or [SHIPPED / "processes", SHIPPED / "playbooks"]
    return lint_paths(named, settings)


def _summary(linted: Linted) -> str:
    files = f"{len(linted.files)} file{'s' if len(linted.files) != 1 else ''}"
    if not linted.problems:
        return f"{files}, no problems"
    return f"{files}, {len(linted.problems)} problem{'s' if len(linted.problems) != 1 else ''}"


def _as_data(linted: Linted) -> dict[str, object]:
    names = ("file", "line", "column", "text", "message", "fix")
    return {
        "files": [str(path) for path in linted.files],
        "problems": [{name: getattr(problem, name) for name in names} for problem in linted.problems],
    }
