"""The noise floor: how large a contrast healthy orders show against healthy ones."""

import math
from collections.abc import Callable, Sequence

from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.diagnosis.cohort import halves
from ordertrace_rules.diagnosis.findings import Finding
from ordertrace_rules.diagnosis.observation import Observation

Contrast = Callable[[Sequence[Observation], Sequence[Observation]], list[Finding]]


def floor(healthy: Sequence[Observation], contrast: Contrast, affected: int) -> float:
    """The largest score between halves of the healthy cohort over a few splits, and never below the least, which
    is the higher the fewer healthy or `affected` cases there are.

    The halves are drawn by a hash of the subject: every run draws the same.
    """
    by_subject = {observation.case.subject: observation for observation in healthy}
    cases = [observation.case for observation in healthy]
    top = parameters.LEAST_FLOOR + parameters.FEW_FLOOR / math.sqrt(max(1, min(affected, len(healthy))))
    for split in range(parameters.NOISE_SPLITS):
        one, other = halves(cases, str(split))
        findings = contrast([by_subject[c.subject] for c in one], [by_subject[c.subject] for c in other])
        top = max([top, *(finding.score for finding in findings)])
    return top
