"""The contrast on labelled faults of a real system: how often the faulty service comes first, beside simpler ways.

    python bench/contrast.py [--sweep FILE] [--jobs 2]

The data are Nezha's 24 cases of TrainTicket (docs/diagnosis.md); without them nothing is measured. At the end
neighbouring healthy windows are compared with each other, which must accuse nobody. With --sweep every parameter is
moved as well, one at a time and two together, and the ranks are counted again. Each result is added to FILE, and one
that is there already is not reckoned anew: a run that was interrupted goes on, and a finished one is shown again.
"""

import argparse
import importlib.util
import itertools
import json
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from ordertrace_rules.diagnosis import diagnose as diagnosis
from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.diagnosis.cohort import Case, group
from ordertrace_rules.diagnosis.diagnose import diagnose
from ordertrace_rules.diagnosis.templates import is_failure

Setting = Mapping[str, float]
Ranker = Callable[[Sequence[Case], Sequence[Case]], list[str]]
Result = tuple[str, str, str]  # input, window of the case, setting as JSON
INPUTS = {"logs and spans": True, "logs alone": False}
WINDOWS = (3, 4, 5)  # into so many neighbouring windows a healthy one is divided
SWEEP: Mapping[str, Sequence[float]] = {
    "LEAST_FLOOR": (0.05, 0.1, 0.2, 0.3),
    "FEW_FLOOR": (0.0, 0.3, 0.7, 1.0),
    "NOISE_SPLITS": (1, 3, 10),
    "DEEPER_WINS": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "LATENCY_QUANTILE": (0.75, 0.8, 0.85, 0.95),
    "LATENCY_SHARE": (0.0, 0.005, 0.01, 0.05, 0.1),
    "INFERRED_SHARE": (0.02, 0.05, 0.2),
    "MIN_HEALTHY": (3, 8, 10),
    "MAX_AFFECTED": (30, 50),
    "MAX_HEALTHY": (30, 50),
    "SIMILAR_LINES": (0.4, 0.5, 0.7, 0.8),
    "LINE_TOKENS": (12, 48),
}

COHORTS = ("MAX_AFFECTED", "MAX_HEALTHY", "SIMILAR_LINES", "LINE_TOKENS")  # who is observed, and how


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
        self._archive, self._spans = trainticket().Archive(), spans
        self.faults: list[Any] = self._archive.faults()
        names = sorted({fault.healthy for fault in self.faults})
        self.healthy = {name: group(self._archive.healthy(name, spans=spans)) for name in names}

    def cohorts(self, fault: Any) -> tuple[list[Case], list[Case]]:
        return group(self._archive.affected(fault, spans=self._spans)), self.healthy[fault.healthy]

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
        yield from itertools.permutations(self.healthy.values(), 2)


cases_of = cache(Cases)


def place_of(service: str, ranked: Sequence[str]) -> int:
    """From 1; one past the end where it is not named."""
    return ranked.index(service) + 1 if service in ranked else len(ranked) + 1


# settings --------------------------------------------------------------------------------------------------
def settings() -> list[Setting]:
    """One parameter moved at a time, then pairs of the largest moves of those that leave the cohorts as they are."""
    single: list[Setting] = [{name: value} for name, values in SWEEP.items() for value in values]
    moved = [(name, values) for name, values in SWEEP.items() if name not in COHORTS]
    extremes = [{name: values[0]} for name, values in moved]
    extremes += [{name: values[-1]} for name, values in moved]
    pairs: list[Setting] = [
        {**one, **other} for one, other in itertools.pairwise(extremes) if one.keys() != other.keys()
    ]
    return [*single, *pairs]


def places_under(spans: bool, number: int, tried: Sequence[Setting]) -> list[int]:
    """The place of the faulty service of one case under each setting. Its records are read once for all of them."""
    fault = cases_of(spans).faults[number]
    affected, healthy = cases_of(spans).cohorts(fault)
    places: list[int] = []
    with mock.patch.object(diagnosis, "observed", remembering(diagnosis.observed)):
        for setting in tried:
            with mock.patch.dict(vars(parameters), setting):
                places.append(place_of(fault.service, by_contrast(affected, healthy)))
    return places


def remembering(observe: Callable[..., Any]) -> Callable[..., Any]:
    """What an observation depends on: the cases, and how lines are told apart."""
    known: dict[tuple[object, ...], Any] = {}

    def remembered(affected: Sequence[Case], healthy: Sequence[Case]) -> Any:
        subjects = (tuple(case.subject for case in cases) for cases in (affected, healthy))
        key = (parameters.SIMILAR_LINES, parameters.LINE_TOKENS, *subjects)
        if key not in known:
            known[key] = observe(affected, healthy)
        return known[key]

    return remembered


def sweep(path: Path, jobs: int) -> None:
    tried = settings()
    assert all(vars(parameters).keys() >= setting.keys() for setting in tried)
    texts = [json.dumps(setting) for setting in tried]
    known = dict(read_results(path))
    with ProcessPoolExecutor(jobs) as pool, path.open("a", encoding="utf-8") as file:
        running: dict[Future[list[int]], tuple[str, str, list[int]]] = {}
        for name, spans in INPUTS.items():
            for number, fault in enumerate(cases_of(spans).faults):
                left = [n for n, text in enumerate(texts) if (name, fault.window, text) not in known]
                if left:
                    future = pool.submit(places_under, spans, number, [tried[n] for n in left])
                    running[future] = (name, fault.window, left)
        for future in as_completed(running):
            name, window, left = running[future]
            for n, place in zip(left, future.result(), strict=True):
                known[name, window, texts[n]] = place
                file.write(json.dumps([name, window, texts[n], place]) + "\n")
            file.flush()
    show_sweep(tried, texts, known)


def read_results(path: Path) -> Iterator[tuple[Result, int]]:
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        name, window, setting, place = json.loads(line)
        yield (name, window, setting), place


# the whole -------------------------------------------------------------------------------------------------
def among(places: Iterable[int], first: int) -> int:
    return sum(place <= first for place in places)


def show_ways() -> None:
    print("| input | way | first | among 3 | among 5 |\n|---|---|---:|---:|---:|")
    by_kind: dict[tuple[str, str], list[int]] = {}
    for name, spans in INPUTS.items():
        cases = cases_of(spans)
        found: dict[str, list[int]] = {way: [] for way in WAYS}
        for fault in cases.faults:
            cohorts = cases.cohorts(fault)
            for way, ranker in WAYS.items():
                found[way].append(place_of(fault.service, ranker(*cohorts)))
            by_kind.setdefault((fault.kind, name), []).append(found["contrast"][-1])
        for way, places in found.items():
            counts = " | ".join(f"{among(places, first)} of {len(places)}" for first in (1, 3, 5))
            print(f"| {name} | {way} | {counts} |", flush=True)
    print("\n| kind of fault | input | first | among 3 | among 5 |\n|---|---|---:|---:|---:|")
    for (kind, name), places in sorted(by_kind.items()):
        counts = " | ".join(f"{among(places, first)} of {len(places)}" for first in (1, 3, 5))
        print(f"| {kind.replace('_', ' ')} | {name} | {counts} |")


def show_causes() -> None:
    print("\n| input | cause named | right | healthy windows compared | accused |\n|---|---:|---:|---:|---:|")
    for name, spans in INPUTS.items():
        cases = cases_of(spans)
        named = [(diagnose(*cases.cohorts(fault)).cause, fault.service) for fault in cases.faults]
        told = [(cause.service, faulty) for cause, faulty in named if cause is not None]
        right = sum(service == faulty for service, faulty in told)
        verdicts = [diagnose(one, other).cause for one, other in cases.neighbours()]
        accused = sum(cause is not None for cause in verdicts)
        print(f"| {name} | {len(told)} | {right} | {len(verdicts)} | {accused} |", flush=True)


def show_sweep(tried: Sequence[Setting], texts: Sequence[str], known: Mapping[Result, int]) -> None:
    columns = " | ".join(
        f"{among_so_many}: median | worst" for among_so_many in ("first", "among 3", "among 5")
    )
    print(f"\n| input, {len(tried)} settings | {columns} | worst setting |\n|---|{'---:|' * 6}---|")
    for name, spans in INPUTS.items():
        found = [[known[name, fault.window, text] for fault in cases_of(spans).faults] for text in texts]
        counts = [[among(places, n) for places in found] for n in (1, 3, 5)]
        worst = tried[counts[0].index(min(counts[0]))]
        figures = " | ".join(f"{statistics.median(of):g} | {min(of)}" for of in counts)
        print(f"| {name} | {figures} | {', '.join(f'{k} {v:g}' for k, v in worst.items())} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sweep", type=Path, metavar="FILE", help="move the parameters too; results are kept"
    )
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    if not trainticket().ARCHIVE.exists():
        print("the data set is not here: see docs/diagnosis.md")
        return
    show_ways()
    show_causes()
    if arguments.sweep is not None:
        sweep(arguments.sweep, arguments.jobs)


if __name__ == "__main__":
    main()
