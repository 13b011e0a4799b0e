"""The life of an instance: heartbeats, fork, the end of the process, and SIGKILL."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ordertrace_instrumentation import configure, event, shim, shutdown
from ordertrace_instrumentation.shim import current_shim
from ordertrace_instrumentation.transports.orphans import adopt_spool


def run(code: str, **environment: str) -> subprocess.Popen[str]:
    """Start a Python process with `code` in the environment of the tests."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def phases(records: list[dict[str, Any]]) -> list[str]:
    return [r["ordertrace.heartbeat.phase"] for r in records if r["event.action"] == "heartbeat"]


def test_an_instance_says_start_alive_and_goodbye(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    path = tmp_path / "r.log"
    configure("shop", transport=f"file:{path}", heartbeat_interval=0.01)
    eventually(lambda: len(lines(path)) > 3)
    shutdown()
    beats = lines(path)
    assert phases(beats) == ["start", *["alive"] * (len(beats) - 2), "goodbye"]
    assert [b["event.sequence"] for b in beats] == list(range(1, len(beats) + 1))
    assert {b["ordertrace.heartbeat.interval"] for b in beats} == {0.01}
    assert {b["event.kind"] for b in beats} == {"metric"}


def test_after_the_end_nothing_is_written_and_it_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "r.log"
    configure("shop", transport=f"file:{path}")
    shutdown()
    before = path.read_text()
    event("a.b")
    shutdown()
    assert path.read_text() == before
    assert current_shim().lost() == {"after_shutdown": 1}


def test_the_same_settings_keep_the_instance_and_others_begin_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "r.log"
    configure("shop", transport=f"file:{path}")
    first = current_shim()
    configure("shop", transport=f"file:{path}")
    assert current_shim() is first
    configure("checkout", transport=f"file:{path}")
    assert current_shim().instance != first.instance
    assert phases(lines(path)) == ["start", "goodbye", "start"]


def test_a_process_that_never_configures_is_set_up_by_its_environment(tmp_path: Path) -> None:
    path = tmp_path / "r.log"
    code = "from ordertrace_instrumentation import event; event('a.b', order_id='SO-1')"
    run(code, ORDERTRACE_SERVICE="shop", ORDERTRACE_TRANSPORT=f"file:{path}").wait()
    assert [r["event.action"] for r in lines(path)] == ["heartbeat", "a.b", "heartbeat"]
    assert phases(lines(path)) == ["start", "goodbye"]


def test_a_forked_child_is_an_instance_of_its_own_with_a_sender_that_works(
    receiver: Any, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    for spool in (None, tmp_path):
        receiver.records.clear()
        configure("shop", transport=f"forward://127.0.0.1:{receiver.port}", spool_dir=spool)
        event("parent.before")
        eventually(lambda: receiver.of("parent.before"))
        child = os.fork()
        if child == 0:
            for _ in range(150):
                event("child.said")
            shutdown()
            os._exit(0)
        os.waitpid(child, 0)
        event("parent.after")
        eventually(lambda: receiver.of("parent.after"))
        said = receiver.of("child.said")
        (instance,) = {r["service.instance.id"] for r in said}
        assert len(said) == 150 and instance != receiver.of("parent.after")[0]["service.instance.id"]
        own = [r["event.sequence"] for r in receiver.records if r["service.instance.id"] == instance]
        assert own == list(range(1, 153))
        assert len(receiver.connections) == 2  # the parent's was not cut by the child
        receiver.connections.clear()
        shutdown()
        parents = [r["event.sequence"] for r in receiver.records if r["service.instance.id"] != instance]
        assert parents == [1, 2, 3, 4]


def test_a_forked_child_that_says_nothing_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "r.log"
    configure("shop", transport=f"file:{path}")
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert len(lines(path)) == 1


def _say(text: str) -> None:
    event("child.said", text=text)


def test_children_of_multiprocessing_say_goodbye(tmp_path: Path) -> None:
    path = tmp_path / "r.log"
    configure("shop", transport=f"file:{path}")
    child = multiprocessing.get_context("fork").Process(target=_say, args=("x",))
    child.start()
    child.join()
    parents = current_shim().instance
    assert phases([r for r in lines(path) if r["service.instance.id"] != parents]) == ["start", "goodbye"]


def test_fork_while_threads_log_deadlocks_nobody(tmp_path: Path) -> None:
    code = """
import os, threading
from ordertrace_instrumentation import configure, event
configure("shop", transport=f"forward://127.0.0.1:1", spool_dir=os.environ["SPOOL"])
stop = threading.Event()
def talk():
    while not stop.is_set():
        event("a.b")
threads = [threading.Thread(target=talk) for _ in range(3)]
for t in threads: t.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        event("child.said")
        os._exit(0)
    os.waitpid(child, 0)
stop.set()
for t in threads: t.join()
os._exit(7)
"""
    assert run(code, SPOOL=str(tmp_path)).wait(60) == 7


def test_a_child_holds_nothing_of_its_parents(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    """The parent's spool can be adopted although a child that never logged lives on."""
    configure("shop", transport="forward://127.0.0.1:1", spool_dir=tmp_path)
    directory = tmp_path / "shop" / "forward"
    reading, writing = os.pipe()
    ready, say_ready = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.write(say_ready, b"x")
        os.read(reading, 1)  # until the parent closes its end
        os._exit(0)
    try:
        os.read(ready, 1)
        current_shim().abandon()  # what the kernel does for a parent that is killed
        orphan = adopt_spool(directory)
        assert orphan is not None
        orphan.abandon()
    finally:
        for end in (writing, reading, ready, say_ready):
            os.close(end)
        os.waitpid(child, 0)


def test_a_lock_held_by_another_thread_at_the_fork_holds_up_no_child(
    tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    configure("shop", transport=f"file:{tmp_path}/r.log")
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        turns = current_shim().transports[0]._turns  # type: ignore[attr-defined]
        with shim._process.lock:
            assert turns.take() == ""
            held.set()
            done.wait(30)
            turns.leave()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)  # a child that hangs is killed, and its status tells
        event("child.said")
        shutdown()
        os._exit(0)
    try:
        assert os.waitpid(child, 0)[1] == 0
    finally:
        done.set()
        holder.join()
    assert any(r["event.action"] == "child.said" for r in lines(tmp_path / "r.log"))


def test_sigkill_loses_no_record_whose_call_had_returned(
    start_receiver: Any, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    """The first process is killed while it talks to a server that never answers; the next one delivers."""
    code = """
import os, sys
from ordertrace_instrumentation import configure, event
configure("shop", transport=os.environ["TO"], spool_dir=os.environ["SPOOL"], heartbeat_interval=1000)
n = 0
while True:
    event("a.b", number=n)
    os.write(1, b"%d\\n" % n)
    n += 1
"""
    silent = start_receiver(answers=False)
    target = f"forward://127.0.0.1:{silent.port}"
    child = run(code, TO=target, SPOOL=str(tmp_path))
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) == 400:
            child.send_signal(signal.SIGKILL)
            break
    returned = [400, *(int(line) for line in child.stdout if line.endswith("\n"))][-1]
    child.wait()
    silent.close()
    receiver = start_receiver(port=silent.port)
    configure("shop", transport=target, spool_dir=tmp_path)
    numbers = eventually(lambda: (n := _numbers(receiver)) and len(n) > returned and n)
    assert numbers[: returned + 1] == list(range(returned + 1))
    shutdown()
    target_directory = tmp_path / "shop" / "forward"
    eventually(lambda: not list(target_directory.iterdir()))


def _numbers(receiver: Any) -> list[int]:
    return sorted({int(r["labels.number"]) for r in receiver.of("a.b")})


def test_a_signal_handler_that_logs_in_the_middle_of_a_write_does_not_deadlock(tmp_path: Path) -> None:
    path = tmp_path / "r.log"
    configure("shop", transport=f"file:{path}")
    before = signal.signal(signal.SIGPROF, lambda *_: event("from.handler"))
    signal.setitimer(signal.ITIMER_PROF, 0.0005, 0.0005)
    try:
        for _ in range(3000):
            event("a.b")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    records = lines(path)
    assert [r["event.sequence"] for r in records] == list(range(1, len(records) + 1))
    assert len([r for r in records if r["event.action"] == "a.b"]) == 3000


def test_importing_the_shim_imports_no_optional_library() -> None:
    code = """
import sys
import ordertrace_instrumentation
optional = ("flask", "requests", "structlog", "opentelemetry.sdk", "opentelemetry.exporter", "httpx", "yaml")
print([name for name in optional if name in sys.modules])
"""
    assert run(code).communicate()[0] == "[]\n"


def test_an_end_while_the_server_is_silent_leaves_the_spool_and_delivers_nothing_twice(
    start_receiver: Any, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    silent = start_receiver(answers=False)
    target = f"forward://127.0.0.1:{silent.port}"
    configure("shop", transport=target, spool_dir=tmp_path, heartbeat_interval=1000)
    event("a.b")
    shutdown(0.1)
    assert current_shim().lost() == {}
    silent.close()
    receiver = start_receiver(port=silent.port)
    configure("shop", transport=target, spool_dir=tmp_path, heartbeat_interval=1000)
    eventually(lambda: receiver.of("a.b"))
    shutdown()
    assert sorted(phases(receiver.records)) == ["goodbye", "goodbye", "start", "start"]
    assert len(receiver.of("a.b")) == 1
