"""`ordertrace contrast`: affected against healthy records, from two files."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click

from ordertrace_rules.cohort_files import Drawn, drawn_from
from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.diagnosis.diagnose import diagnose
from ordertrace_rules.intake.files import Unreadable
from ordertrace_rules.rendering.plain import plain
from ordertrace_rules.vocabulary import Diagnosis, Suspect, in_language

FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.command(
    epilog="""\b
Examples:
  ordertrace contrast --healthy monday.jsonl --affected stuck.jsonl
  ordertrace contrast --healthy monday.jsonl.gz --affected stuck.jsonl.gz --format json
"""
)
@click.option("--healthy", type=FILE, required=True, help="Records of orders that went well.")
@click.option("--affected", type=FILE, required=True, help="Records of the orders in question.")
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def contrast(healthy: Path, affected: Path, output: str) -> None:
    """Say which service the affected orders have against them, and which are cleared.

    The files hold event records and spans as JSON lines, gzip too. They are grouped by `order.id`, else by
    `trace.id`. Records that cannot be read are counted on stderr and left out.
    """
    ours, theirs = _cases(affected, parameters.MAX_AFFECTED), _cases(healthy, parameters.MAX_HEALTHY)
    diagnosis = diagnose(ours.cases, theirs.cases, affected_of=ours.of, healthy_of=theirs.of)
    if diagnosis.sampled:
        click.echo(f"ordertrace: {diagnosis.sampled}", err=True)
    if output == "json":
        click.echo(json.dumps(contrast_document(diagnosis), ensure_ascii=False, indent=2))
    else:
        _print(diagnosis)


def contrast_document(diagnosis: Diagnosis) -> dict[str, Any]:
    """What `--format json` prints: the services above the noise, then what the affected share, then the others."""
    return {
        "verdict": diagnosis.verdict,
        "affected": diagnosis.affected,
        "healthy": diagnosis.healthy,
        "sampled": diagnosis.sampled or None,
        "suspects": [_suspect(suspect) for suspect in diagnosis.suspects],
        "cleared": [{"service": c.service, "observations": c.observations} for c in diagnosis.cleared],
    }


def _suspect(suspect: Suspect) -> dict[str, Any]:
    evidence = suspect.evidence
    return {
        "service": suspect.service,
        "score": suspect.score,
        "above_noise": suspect.above_noise,
        "kind": suspect.kind,
        "evidence": {
            "affected": {"k": evidence.affected.k, "n": evidence.affected.n},
            "healthy": {"k": evidence.healthy.k, "n": evidence.healthy.n},
            "what": in_language(evidence.what, "en"),
            "examples": list(evidence.examples),
        },
    }


def _cases(path: Path, most: int) -> Drawn:
    unreadable: Counter[str] = Counter()

    def note(problem: Unreadable) -> None:
        unreadable[problem.reason] += 1

    drawn = drawn_from(path, most, note)
    for reason, count in sorted(unreadable.items()):
        click.echo(f"ordertrace: {path.name}: {count} records could not be read: {reason}", err=True)
    if drawn.alone:
        click.echo(
            f"ordertrace: {path.name}: {drawn.alone} records name neither an order nor a trace", err=True
        )
    return drawn


def _print(diagnosis: Diagnosis) -> None:
    click.echo(f"{diagnosis.affected} affected against {diagnosis.healthy} healthy: {_verdict(diagnosis)}")
    for place, suspect in enumerate(diagnosis.suspects, start=1):
        affected, healthy = suspect.evidence.affected, suspect.evidence.healthy
        mark = "suspected" if suspect.above_noise else "within noise"
        click.echo(
            f"{place:3}. {plain(suspect.service) or '(no service)'}  {suspect.score:+.2f}  {suspect.kind}, {mark}: "
            f"{affected.k} of {affected.n}, healthy {healthy.k} of {healthy.n}"
        )
        click.echo(f"       {plain(in_language(suspect.evidence.what, 'en'))}")
        for example in suspect.evidence.examples if suspect.above_noise else ():
            click.echo(f"       | {plain(example)}")
    for cleared in diagnosis.cleared:
        click.echo(f"cleared: {plain(in_language(cleared.note, 'en'))}")


def _verdict(diagnosis: Diagnosis) -> str:
    if diagnosis.verdict == "no_baseline":
        return "no baseline (too few healthy orders or no affected ones); counts only, no cause named"
    if diagnosis.verdict == "no_localised_cause":
        return "no localised cause (nothing stands out of the noise of healthy orders)"
    if diagnosis.cause is None:
        shared = in_language(diagnosis.suspects[0].evidence.what, "en")
        return f"no service stands out; what the affected share: {plain(shared)}"
    return f"localised in {plain(diagnosis.cause.service)}"
