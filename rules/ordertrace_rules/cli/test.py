"""`ordertrace test`: the tests that playbooks carry, run."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from ordertrace_rules.aliases import Aliases
from ordertrace_rules.catalogue import Catalogue, load_catalogue
from ordertrace_rules.cli.context import Context
from ordertrace_rules.drafts import files_in
from ordertrace_rules.trial import Trial
from ordertrace_rules.trial_run import run_trial
from ordertrace_rules.vocabulary import Playbook


@dataclass(frozen=True, slots=True)
class Ran:
    """One test that was run, and what came out otherwise than expected."""

    playbook: Playbook
    trial: Trial
    differences: tuple[str, ...]


@click.command(
    epilog="""\b
Examples:
  ordertrace test playbooks/                    the playbooks of a directory
  ordertrace test playbooks/late_refill.yaml --format json
  ordertrace test                               all that are shipped and configured

Exit code: 0 all hold, 1 with a test that fails or where there is none, 2 on wrong usage or mistakes in a file.
"""
)
@click.argument("paths", type=click.Path(exists=True, path_type=Path), nargs=-1)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def test(context: Context, paths: tuple[Path, ...], form: str) -> None:
    """Run the tests that playbooks carry: each a small timeline, and what has to come of it."""
    settings = context.settings
    catalogue = load_catalogue(settings.processes, settings.playbooks, asked=paths)
    playbooks = _chosen(catalogue, paths)
    aliases = Aliases(settings.alias_kinds)
    ran = [Ran(p, t, run_trial(t, p, catalogue, aliases)) for p in playbooks for t in p.tests]
    untested = [p for p in playbooks if not p.tests]
    if form == "json":
        click.echo(json.dumps(_document(ran, untested), indent=2, ensure_ascii=False))
    else:
        _print(ran, untested)
    sys.exit(0 if ran and not any(r.differences for r in ran) else 1)


def _chosen(catalogue: Catalogue, paths: Sequence[Path]) -> list[Playbook]:
    files = {path.resolve() for path in files_in(paths, [])}
    return [p for p in catalogue.playbooks if not paths or Path(p.file).resolve() in files]


def _print(ran: Sequence[Ran], untested: Sequence[Playbook]) -> None:
    for each in ran:
        mark = click.style("✗", fg="red", bold=True) if each.differences else click.style("✓", fg="green")
        click.echo(f"{mark} {each.playbook.id} · {each.trial.name}")
        if each.differences:
            click.echo(f"    {each.playbook.file}:{each.trial.line}")
        for difference in each.differences:
            click.echo(f"    {click.style(difference, fg='red')}")
    for playbook in untested:
        click.echo(f"{click.style('–', fg='yellow')} {playbook.id} · no tests ({playbook.file})")
    failed = sum(bool(each.differences) for each in ran)
    playbooks = len({each.playbook.id for each in ran})
    click.echo(f"{len(ran)} tests of {playbooks} playbooks, {failed} failed", err=bool(failed))


def _document(ran: Sequence[Ran], untested: Sequence[Playbook]) -> dict[str, object]:
    failed = sum(bool(each.differences) for each in ran)
    return {
        "passed": len(ran) - failed,
        "failed": failed,
        "tests": [
            {
                "playbook": each.playbook.id,
                "file": each.playbook.file,
                "line": each.trial.line,
                "name": each.trial.name,
                "passed": not each.differences,
                "differences": list(each.differences),
            }
            for each in ran
        ],
        "untested": [playbook.id for playbook in untested],
    }
