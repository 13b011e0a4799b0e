"""Group sync: what a process has written reaches the disk soon, by a thread of its own that no caller waits for."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.transports.bell import Bell
from ordertrace_instrumentation.transports.segments import close_quietly

SYNC_INTERVAL = 0.05  # seconds in which writes gather to one fdatasync: what a power cut may cost
CLOSE_PATIENCE = 0.5  # seconds that the end of a process waits for a disk; the kernel has the records already


class GroupSync:
    """Calls fdatasync on the files that were written to since the last time, once for all of them.

    A thread that cannot be had, or a disk that refuses, costs the guard against power cuts and nothing else.
    `then` is what else wants the disk and no caller's time; it is called after each sync.
    """

    def __init__(
        self,
        directory: Path,
        sync: Callable[[int], None] = os.fdatasync,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        self._directory = directory
        self._sync = sync
        self._then = then
        self.written: dict[int, int] = {}  # since the last sync: segment -> a descriptor of our own
        self._wake = Bell()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ordertrace-sync", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._closing.set()
            complain_once(f"the spool is not synced to disk: {error}")

    def wrote(self, segment: int, fd: int) -> None:
        """Note a write to a segment; for one thread at a time. Costs nothing where one is noted already.

        Raises OSError without descriptors.
        """
        if segment not in self.written and not self._closing.is_set():
            self.written[segment] = os.dup(fd)
            self._wake.ring()

    def nudge(self) -> None:
        """Let `then` be called soon, though nothing is written."""
        if self._closing.is_set():
            self._then()
        else:
            self._wake.ring()

    def close(self) -> None:
        """Sync what is left, where the disk takes it soon, and end."""
        if not self._closing.is_set():
            self.end()
            self._thread.join(CLOSE_PATIENCE)

    def end(self) -> None:
        """The same without waiting for it."""
        self._closing.set()
        self._wake.ring()

    def abandon(self) -> None:
        """In a forked child, where the thread is gone: only let go."""
        self._closing = threading.Event()  # the parent's may have been locked at the fork
        self._closing.set()
        self._each(close_quietly)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._closing.wait(SYNC_INTERVAL)
            self._sync_all()
            self._then()
        self._sync_all()

    def _sync_all(self) -> None:
        if self.written:
            self._each(self._sync_one)
            self._sync_names()

    def _each(self, act: Callable[[int], None]) -> None:
        """Hand over each descriptor once, without a lock that a fork might find taken."""
        for segment in list(self.written):
            own = self.written.pop(segment, -1)
            if own >= 0:
                act(own)

    def _sync_one(self, own: int) -> None:
        try:
            self._sync(own)
        except OSError as error:
            complain_once(f"the spool {self._directory} cannot be synced to disk: {error.strerror}")
        finally:
            close_quietly(own)  # on a network disk this may be what fails

    def _sync_names(self) -> None:
        """A new segment is there after a power cut only once its directory has been synced too."""
        try:
            fd = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return  # delivered and removed meanwhile
        try:
            os.fsync(fd)
        except OSError:
            pass  # some file systems know no sync of directories
        finally:
            os.close(fd)
