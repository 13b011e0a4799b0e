"""The demo's child processes: started together, watched, ended together."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LEASH = "ordertrace_shop.leash"
POLL = 0.05  # seconds


class ProcessFailed(Exception):
    """A process did not start, or ended by itself. Its text names it and quotes the tail of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    name: str
    popen: subprocess.Popen[bytes]
    ready_file: Path
    log_file: Path


class Processes:
    """Starts modules in `directory`; leaving the context ends all of them.

    They die with this process too, however it ends: see `leash`.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._children: list[Child] = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *reason: object) -> None:
        self.stop()

    def start(
        self, name: str, module: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        """Run `python -m module arguments… --ready-file FILE`, output to `<name>.log`."""
        ready_file = self.directory / f"{name}.ready.json"
        log_file = self.directory / f"{name}.log"
        command = [sys.executable, "-m", LEASH, module, *arguments, "--ready-file", str(ready_file)]
        with log_file.open("wb") as log:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env={**_environment(), **(environment or {})},
                start_new_session=True,  # Ctrl-C is ours: we end them in order
            )
        self._children.append(Child(name, popen, ready_file, log_file))

    def addresses(self, name: str, timeout: float) -> Mapping[str, str]:
        """What `name` wrote to its ready file. Raises ProcessFailed if it ends first, or in `timeout` seconds."""
        child = self._child(name)
        deadline = time.monotonic() + timeout
        while not child.ready_file.exists():
            self.check()
            if time.monotonic() > deadline:
                raise ProcessFailed(f"{name} did not start within {timeout:.0f} s{self.tail(name)}")
            time.sleep(POLL)
        return json.loads(child.ready_file.read_text(encoding="utf-8"))

    def check(self) -> None:
        """Raises ProcessFailed if a child has ended."""
        for child in self._children:
            code = child.popen.poll()
            if code is not None:
                raise ProcessFailed(f"{child.name} ended with exit code {code}{self.tail(child.name)}")

    def tail(self, name: str, lines: int = 15) -> str:
        """The end of its log, as the second half of an error message."""
        text = self._child(name).log_file.read_text(encoding="utf-8", errors="replace").strip()
        last = "\n".join("    " + line[:300] for line in text.splitlines()[-lines:])
        return f"; the end of its log:\n{last}" if last else "; its log is empty"

    def stop(self, grace: float = 10.0) -> None:
        """End one after the other, the youngest first, with SIGTERM; those left after `grace` seconds for good."""
        deadline = time.monotonic() + grace
        for child in reversed(self._children):
            if child.popen.poll() is None:
                child.popen.terminate()
            try:
                child.popen.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.popen.kill()
                child.popen.wait()
            if child.popen.stdin is not None:
                child.popen.stdin.close()
        self._children.clear()

    def _child(self, name: str) -> Child:
        return next(child for child in self._children if child.name == name)


def _environment() -> dict[str, str]:
    """Ours without what steers ordertrace, and with our import path: a checkout serves as an installed wheel does."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ORDERTRACE_", "OTEL_"))}
    return {**inherited, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
