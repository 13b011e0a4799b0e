"""Faults of collector, disk and service, on real processes: what a log call returned for arrives, and once.

Samples run with the other tests; `make soak` runs the whole. The workshop is the benchmark's, which deals the same
faults to fluent-logger's handlers.
"""

import importlib.util
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "shipping_faults.py"


def _loaded() -> Any:
    spec = importlib.util.spec_from_file_location("shipping_faults", BENCH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


faults = _loaded()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Any]:
    random.seed(7)
    with faults.workshop(faults.WAYS[0], tmp_path) as made:
        yield made


def loses_nothing(outcome: Any) -> None:
    assert outcome.missing == frozenset()
    assert outcome.doubled == 0
    assert outcome.counted == 0


@pytest.mark.parametrize("times", [2, pytest.param(50, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_a_collector_that_is_killed_again_and_again_loses_and_doubles_nothing(shop: Any, times: int) -> None:
    outcome = faults.collector_killed(shop, times, records=300 * times)
    loses_nothing(outcome)
    assert len(outcome.returned) == 300 * times + 1


@pytest.mark.parametrize("times", [3, pytest.param(100, marks=[pytest.mark.soak, pytest.mark.timeout(1200)])])
def test_a_service_killed_at_random_moments_loses_no_record_whose_call_had_returned(
    shop: Any, times: int
) -> None:
    outcome = faults.service_killed(shop, times)
    loses_nothing(outcome)
    assert len(outcome.returned) > times


@pytest.mark.soak
@pytest.mark.parametrize("fault", ["collector_away", "black_hole", "slow_reader"])
def test_a_collector_that_is_away_silent_or_slow_loses_and_doubles_nothing(shop: Any, fault: str) -> None:
    loses_nothing(getattr(faults, fault)(shop))


STORM = """
import os, sys
from ordertrace_instrumentation import configure, event
port, spool, children, records = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
configure("service", transport=f"forward://127.0.0.1:{port}", spool_dir=spool)
event("a.b", number=0)
pids = []
for child in range(1, children + 1):
    pid = os.fork()
    if pid == 0:
        for record in range(records):
            event("a.b", number=child * 1000 + record)
            if record == records // 2 and child % 3 == 0 and os.fork() == 0:  # a grandchild
                event("a.b", number=child * 1000 + 999)
                os._exit(0)
        os._exit(0)  # past every goodbye
    pids.append(pid)
for pid in pids:
    os.waitpid(pid, 0)
"""


@pytest.mark.parametrize("children", [6, pytest.param(60, marks=pytest.mark.soak)])
def test_children_that_leave_without_a_word_in_a_storm_of_forks_lose_nothing(
    shop: Any, children: int
) -> None:
    shop.start_collector()
    arguments = [str(shop.port), str(shop.folder / "spool"), str(children), "20"]
    subprocess.run([sys.executable, "-c", STORM, *arguments], check=True, timeout=100)
    made = {0, *(child * 1000 + record for child in range(1, children + 1) for record in range(20))}
    made |= {child * 1000 + 999 for child in range(3, children + 1, 3)}
    (shop.folder / "returned").write_text("".join(f"{number}\n" for number in made))
    loses_nothing(faults.with_successor(shop))


DISK = """
import json, resource, sys, time
from ordertrace_instrumentation import configure, event, shutdown
from ordertrace_instrumentation.shim import current_shim
port, spool, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
configure("shop", transport=f"forward://127.0.0.1:{port}", spool_dir=spool)
for number in range(2000):
    event("a.b", number=number)
print(json.dumps(current_shim().lost()), flush=True)
sys.stdin.readline()  # the collector is there now
for _ in range(200):
    before = current_shim().lost()
    event("a.b", number=number + 1)
    number += 1
    if current_shim().lost() == before:
        break
    time.sleep(0.05)
shutdown()
print(json.dumps({"made": number + 1, "lost": current_shim().lost()}), flush=True)
"""


def _fill(shop: Any, spool: Path, limit: int) -> None:
    arguments = [str(shop.port), str(spool), str(limit)]
    service = subprocess.Popen(
        [sys.executable, "-c", DISK, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    shop.processes.append(service)
    assert service.stdout is not None and service.stdin is not None
    lost = faults.json.loads(service.stdout.readline())
    assert set(lost) == {"spool_write_failed"} and 0 < lost["spool_write_failed"] < 2000
    shop.start_collector()
    service.stdin.write("\n")
    service.stdin.flush()
    account = faults.json.loads(service.stdout.readline())
    service.wait(60)
    numbers = {number for number, _ in shop.arrived()}
    assert len(numbers) + sum(account["lost"].values()) == account["made"]
    assert account["made"] - 1 in numbers  # the disk took records again, once it had room


def test_a_disk_that_refuses_is_counted_record_by_record_and_used_again_when_it_has_room(shop: Any) -> None:
    _fill(shop, shop.folder / "spool", limit=200_000)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount, folder = shutil.which("mount"), tmp_path / "disk"
    folder.mkdir()
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)], capture_output=True
        ).returncode
    ):
        pytest.skip("a tmpfs cannot be mounted here: it needs the right to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_counted_record_by_record_and_used_again_when_it_has_room(
    shop: Any, small_disk: Path
) -> None:
    _fill(shop, small_disk / "spool", limit=0)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(10))
def test_all_faults_at_random_moments(shop: Any, seed: int) -> None:
    random.seed(seed)
    deal: list[Callable[..., Any]] = [faults.collector_killed, faults.service_killed, faults.slow_reader]
    loses_nothing(random.choice(deal)(shop))
