"""The diagnosis as one function: cohorts in, named causes and cleared suspects out."""

from collections.abc import Sequence

from ordertrace_rules.diagnosis import attributes, handover, latency, new_errors, pace, parameters, succession
from ordertrace_rules.diagnosis.clearance import cleared
from ordertrace_rules.diagnosis.cohort import Case, sample
from ordertrace_rules.diagnosis.findings import Finding, lines_of
from ordertrace_rules.diagnosis.noise import floor
from ordertrace_rules.diagnosis.observation import Observation, observe
from ordertrace_rules.diagnosis.precedence import Precedence
from ordertrace_rules.diagnosis.stops import last_words, stopped_at
from ordertrace_rules.diagnosis.templates import Miner
from ordertrace_rules.locales.catalogue import say
from ordertrace_rules.vocabulary import Cause, Diagnosis, Evidence, Process, Suspect


def diagnose(
    affected: Sequence[Case],
    healthy: Sequence[Case],
    process: Process | None = None,
    suspects: Sequence[str] = (),
    *,
    affected_of: int = 0,
    healthy_of: int = 0,
) -> Diagnosis:
    """Compare affected subjects with healthy ones that passed the same stage lately.

    `suspects` are services that people accuse first: they lead the cleared. The result depends on the
    arguments alone, not on their order; what was left out by sampling it says itself. `affected_of` and
    `healthy_of` tell how many there were where the caller had drawn a sample already.
    """
    affected_of, healthy_of = max(affected_of, len(affected)), max(healthy_of, len(healthy))
    affected = sample(affected, parameters.MAX_AFFECTED)
    healthy = sample(healthy, parameters.MAX_HEALTHY)
    sampled = _sampled((len(affected), affected_of, "affected"), (len(healthy), healthy_of, "healthy"))
    ours, theirs = observed(affected, healthy)
    stops, words = stopped_at(ours, process), last_words(ours)
    if not ours or len(theirs) < parameters.MIN_HEALTHY:
        return Diagnosis(
            "no_baseline", len(ours), len(theirs), stopped_at=stops, last_words=words, sampled=sampled
        )
    noise = floor(theirs, _contrasts, len(ours))
    precedence = Precedence(ours, theirs, process)
    ranking = precedence.ranked(_contrasts(ours, theirs))
    accused = [f for f in ranking if f.score > noise]
    shared = _shared(ours, theirs, precedence)
    cause = _cause(accused[0]) if accused else None
    within = [f for f in ranking if f.score <= noise]
    return Diagnosis(
        verdict="localised" if accused or shared else "no_localised_cause",
        affected=len(ours),
        healthy=len(theirs),
        suspects=(
            *(_suspect(finding, above_noise=True) for finding in (*accused, *shared)),
            *(_suspect(finding, above_noise=False) for finding in within),
        ),
        cleared=cleared(ours, theirs, (*accused, *shared), suspects),
        cause=cause,
        stopped_at=stops,
        last_words=words,
        sampled=sampled,
    )


def observed(
    affected: Sequence[Case], healthy: Sequence[Case]
) -> tuple[list[Observation], list[Observation]]:
    """Both cohorts read once, with the templates of the lines of both."""
    miner = Miner()
    for case in (*healthy, *affected):
        miner.learn(case.events)
    return [observe(case, miner) for case in affected], [observe(case, miner) for case in healthy]


def _contrasts(affected: Sequence[Observation], healthy: Sequence[Observation]) -> list[Finding]:
    return [
        *new_errors.contrast(affected, healthy),
        *succession.contrast(affected, healthy),
        *handover.contrast(affected, healthy),
        *latency.contrast(affected, healthy),
        *pace.contrast(affected, healthy),
    ]


def _shared(
    affected: Sequence[Observation], healthy: Sequence[Observation], precedence: Precedence
) -> list[Finding]:
    """What the affected share by more than halves of the healthy do."""
    least = floor(healthy, attributes.contrast, len(affected))
    return [f for f in attributes.contrast(affected, healthy, precedence.deepest) if f.score > least]


def _cause(finding: Finding) -> Cause:
    summary = say(
        "cause",
        service=finding.service,
        what=finding.what,
        k=finding.affected.k,
        n=finding.affected.n,
        healthy_k=finding.healthy.k,
        healthy_n=finding.healthy.n,
    )
    return Cause(finding.service, summary, confidence=round(finding.score, 2))


def _suspect(finding: Finding, *, above_noise: bool) -> Suspect:
    evidence = Evidence(finding.affected, finding.healthy, finding.what, lines_of(finding.examples))
    return Suspect(finding.service, round(finding.score, 4), above_noise, finding.kind, evidence)


def _sampled(*cohorts: tuple[int, int, str]) -> str:
    said = [f"{taken:,} of {count:,} {name}" for taken, count, name in cohorts if taken < count]
    return f"Looked at {' and '.join(said)} subjects, drawn by a hash of their id." if said else ""
