"""The demo's children end with it, however it ends, and say why if they end too soon."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ordertrace_shop.processes import Processes, ProcessFailed

WAITS = """
import json, os, sys, time
path = sys.argv[sys.argv.index("--ready-file") + 1]
open(path + ".part", "w").write(json.dumps({"pid": str(os.getpid())}))
os.replace(path + ".part", path)
time.sleep(60)
"""
IGNORES_SIGTERM = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAITS
FAILS = "import sys\nprint('no such table: stock')\nsys.exit(3)\n"
PARENT = """
import sys, time
from pathlib import Path
from ordertrace_shop.processes import Processes
sys.path.insert(0, sys.argv[1])
processes = Processes(Path(sys.argv[1]))
processes.start("child", "child_waits", [])
print(processes.addresses("child", 30)["pid"], flush=True)
time.sleep(60)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Write a module that a child can run; return its name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, source: str) -> str:
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return write


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def gone(pid: int, within: float = 20.0) -> bool:
    deadline = time.monotonic() + within
    while alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_children_are_gone_once_the_context_is_left(
    tmp_path: Path, module: Callable[[str, str], str]
) -> None:
    with Processes(tmp_path) as processes:
        processes.start("child", module("child_waits", WAITS), [])
        pid = int(processes.addresses("child", 30)["pid"])
        assert alive(pid)
    assert not alive(pid)


def test_a_child_that_ignores_sigterm_is_ended_for_good(
    tmp_path: Path, module: Callable[[str, str], str]
) -> None:
    processes = Processes(tmp_path)
    processes.start("child", module("child_stubborn", IGNORES_SIGTERM), [])
    pid = int(processes.addresses("child", 30)["pid"])
    processes.stop(grace=0.2)
    assert not alive(pid)


def test_a_child_that_fails_is_named_with_the_tail_of_its_log(
    tmp_path: Path, module: Callable[[str, str], str]
) -> None:
    with Processes(tmp_path) as processes:
        processes.start("inventory", module("child_fails", FAILS), [])
        with pytest.raises(
            ProcessFailed, match=r"(?s)inventory ended with exit code 3.*no such table: stock"
        ):
            processes.addresses("inventory", 30)


def test_children_do_not_survive_a_parent_that_is_killed(
    tmp_path: Path, module: Callable[[str, str], str]
) -> None:
    module("child_waits", WAITS)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert gone(pid)
