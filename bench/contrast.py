"""The contrast on labelled faults of a real system: how often the faulty service comes first, beside simpler ways.

    python bench/contrast.py [--sweep] [--jobs 2]

The data are Nezha's 24 cases of TrainTicket (docs/diagnosis.md); without them nothing is measured. With --sweep
every parameter is moved, one at a time and several together, and the ranks are counted again. At the end
neighbouring healthy windows are compared with each other, which must accuse nobody.
"""

import argparse
import importlib.util
import itertools
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from ordertrace_rules.diagnosis import parameters, templates
from ordertrace_rules.diagnosis.cohort import Case, group
from ordertrace_rules.diagnosis.diagnose import diagnose
from ordertrace_rules.diagnosis.templates import is_failure

Setting = Mapping[str, float]
Ranker = Callable[[Sequence[Case], Sequence[Case]], list[str]]
INPUTS = {"logs and spans": True, "logs alone": False}
WINDOWS = (3, 4, 5)  # into so many neighbouring windows a healthy one is divided
SWEEP: Mapping[str, Sequence[float]] = {
    "LEAST_FLOOR": (0.05, 0.1, 0.2, 0.3),
    "FEW_FLOOR": (0.0, 0.3, 0.7, 1.0),
    "NOISE_SPLITS": (1, 3, 10),
    "DEEPER_WINS": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "LATENCY_QUANTILE": (0.75, 0.8, 0.85, 0.95),
    "LATENCY_SHARE": (0.0, 0.005, 0.01, 0.05, 0.1),
    "MIN_HEALTHY": (3, 8, 10),
    "MAX_AFFECTED": (30, 50),
    "MAX_HEALTHY": (30, 50),
    "SIMILAR": (0.4, 0.5, 0.7, 0.8),
    "HEAD": (12, 48),
}


# ways to rank ----------------------------------------------------------------------------------------------
def by_contrast(affected: Sequence[Case], healthy: Sequence[Case]) -> list[str]:
    return list(dict.fromkeys(suspect.service for suspect in diagnose(affected, healthy).suspects))


def by_errors(affected: Sequence[Case], healthy: Sequence[Case]) -> list[str]:
    """Who wrote the most failing records."""
    return [service for service, _ in Counter(_failing(affected)).most_common()]


def by_error_rate(affected: Sequence[Case], healthy: Sequence[Case]) -> list[str]:
    """Whose failing records an affected case has more of than a healthy one."""
    ours, theirs = Counter(_failing(affected)), Counter(_failing(healthy))
    more = {s: ours[s] / len(affected) - theirs[s] / len(healthy) for s in ours | theirs}
    return sorted(more, key=lambda service: (-more[service], service))


def _failing(cases: Sequence[Case]) -> Iterator[str]:
    return (event.service for case in cases for event in case.events if is_failure(event))


WAYS: Mapping[str, Ranker] = {
    "contrast": by_contrast,
    "errors counted": by_errors,
    "error rate, affected less healthy": by_error_rate,
}


# data ------------------------------------------------------------------------------------------------------
def trainticket() -> ModuleType:
    path = Path(__file__).parents[1] / "tests" / "trainticket.py"
    spec = importlib.util.spec_from_file_location("trainticket", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Cases:
    """Every labelled case as two cohorts, for one kind of input."""

    def __init__(self, spans: bool) -> None:
        archive = trainticket().Archive()
        self.faults: list[Any] = archive.faults()
        names = sorted({fault.healthy for fault in self.faults})
        self.healthy = {name: group(archive.healthy(name, spans=spans)) for name in names}
        self.affected = [group(archive.affected(fault, spans=spans)) for fault in self.faults]

    def places(self, ranker: Ranker) -> list[int]:
        """For each fault the place of the faulty service, from 1; one past the end where it is not named."""
        places: list[int] = []
        for fault, affected in zip(self.faults, self.affected, strict=True):
            ranked = ranker(affected, self.healthy[fault.healthy])
            places.append(ranked.index(fault.service) + 1 if fault.service in ranked else len(ranked) + 1)
        return places

    def named(self) -> tuple[int, int]:
        """In how many cases a cause was named, and in how many of them it was the right one."""
        causes = [
            (diagnose(affected, self.healthy[fault.healthy]).cause, fault.service)
            for fault, affected in zip(self.faults, self.affected, strict=True)
        ]
        named = [(cause.service, faulty) for cause, faulty in causes if cause is not None]
        return len(named), sum(service == faulty for service, faulty in named)

    def neighbours(self) -> Iterator[tuple[list[Case], list[Case]]]:
        """Windows of healthy cases that follow each other, either way round."""
        for cases in self.healthy.values():
            ordered = sorted(cases, key=lambda case: case.events[0].timestamp)
            for parts in WINDOWS:
                edges = [round(len(ordered) * part / parts) for part in range(parts + 1)]
                windows = [ordered[start:end] for start, end in itertools.pairwise(edges)]
                for one, other in itertools.pairwise(windows):
                    yield one, other
                    yield other, one
        for one, other in itertools.permutations(self.healthy.values(), 2):
            yield one, other


_loaded: dict[bool, Cases] = {}


def cases_of(spans: bool) -> Cases:
    if spans not in _loaded:
        _loaded[spans] = Cases(spans)
    return _loaded[spans]


# settings --------------------------------------------------------------------------------------------------
def settings() -> list[Setting]:
    """One parameter moved at a time, then pairs of the largest moves."""
    single: list[Setting] = [{name: value} for name, values in SWEEP.items() for value in values]
    extremes = [{name: values[0]} for name, values in SWEEP.items()]
    extremes += [{name: values[-1]} for name, values in SWEEP.items()]
    pairs: list[Setting] = [
        {**one, **other} for one, other in itertools.pairwise(extremes) if one.keys() != other.keys()
    ]
    return [*single, *pairs]


@contextmanager
def moved(setting: Setting) -> Iterator[None]:
    of = {m: {k: v for k, v in setting.items() if hasattr(m, k)} for m in (parameters, templates)}
    with ExitStack() as stack:
        for module, values in of.items():
            if values:
                stack.enter_context(mock.patch.multiple(module, **values))
        yield


def places_under(setting: Setting, spans: bool) -> list[int]:
    with moved(setting):
        return cases_of(spans).places(by_contrast)


def falsely_localised(spans: bool) -> tuple[int, int]:
    """In how many comparisons of healthy windows a service was accused, and of how many."""
    verdicts = [diagnose(one, other).cause for one, other in cases_of(spans).neighbours()]
    return sum(cause is not None for cause in verdicts), len(verdicts)


# the whole -------------------------------------------------------------------------------------------------
def among(places: Sequence[int], first: int) -> int:
    return sum(place <= first for place in places)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sweep", action="store_true", help="move the parameters too: some twenty minutes")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    if not trainticket().ARCHIVE.exists():
        print("the data set is not here: see docs/diagnosis.md")
        return
    print("| input | way | first | among 3 | among 5 |\n|---|---|---:|---:|---:|")
    for name, spans in INPUTS.items():
        for way, ranker in WAYS.items():
            places = cases_of(spans).places(ranker)
            counts = " | ".join(f"{among(places, first)} of {len(places)}" for first in (1, 3, 5))
            print(f"| {name} | {way} | {counts} |", flush=True)
    print("\n| input | cause named | right | healthy windows compared | accused |\n|---|---:|---:|---:|---:|")
    for name, spans in INPUTS.items():
        (named, right), (accused, of) = cases_of(spans).named(), falsely_localised(spans)
        print(f"| {name} | {named} | {right} | {of} | {accused} |", flush=True)
    if arguments.sweep:
        sweep(arguments.jobs)


def sweep(jobs: int) -> None:
    tried = settings()
    print(
        f"\n| input, {len(tried)} settings | first: median | worst | among 3: median | worst | worst setting |"
    )
    print("|---|---:|---:|---:|---:|---|")
    with ProcessPoolExecutor(jobs) as pool:
        for name, spans in INPUTS.items():
            found = list(pool.map(places_under, tried, itertools.repeat(spans)))
            first, three = ([among(places, n) for places in found] for n in (1, 3))
            worst = ", ".join(f"{k} {v:g}" for k, v in tried[first.index(min(first))].items())
            print(
                f"| {name} | {statistics.median(first):g} | {min(first)} | {statistics.median(three):g} | "
                f"{min(three)} | {worst} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
