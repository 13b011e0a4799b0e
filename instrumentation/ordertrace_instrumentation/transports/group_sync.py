"""Group sync: what a process has written reaches the disk soon, by a thread of its own that no caller waits for."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ordertrace_instrumentation.complaints import complain_once

SYNC_INTERVAL = 0.05  # seconds in which writes gather to one fdatasync: what a power cut may cost


class GroupSync:
    """Calls fdatasync on the files that were written to since the last time, once for all of them.

    A thread that cannot be had, or a disk that refuses, costs the guard against power cuts and nothing else.
    """

    def __init__(self, directory: Path, sync: Callable[[int], None] = os.fdatasync) -> None:
        self._directory = directory
        self._sync = sync
        self._lock = threading.Lock()
        self.written: dict[int, int] = {}  # since the last sync: segment -> a descriptor of our own
        self._wake = threading.Event()
        self._closed = False
        try:
            threading.Thread(target=self._run, name="ordertrace-sync", daemon=True).start()
        except RuntimeError as error:
            self._closed = True
            complain_once(f"the spool is not synced to disk: {error}")

    def wrote(self, segment: int, fd: int) -> None:
        """Note a write to a segment. Costs nothing where one is noted already. Raises OSError without descriptors."""
        if segment not in self.written and not self._closed:
            with self._lock:
                if segment not in self.written:
                    self.written[segment] = os.dup(fd)
            self._wake.set()

    def close(self) -> None:
        """Sync what is left and end."""
        if not self._closed:
            self._closed = True
            self._wake.set()
            self._sync_all()

    def abandon(self) -> None:
        """In a forked child, where the thread is gone: only let go."""
        self._closed = True
        written, self.written = self.written, {}
        for own in written.values():
            os.close(own)

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait()
            time.sleep(SYNC_INTERVAL)
            self._wake.clear()
            self._sync_all()

    def _sync_all(self) -> None:
        with self._lock:
            written, self.written = self.written, {}
        for own in written.values():
            try:
                self._sync(own)
            except OSError as error:
                complain_once(f"the spool {self._directory} cannot be synced to disk: {error.strerror}")
            finally:
                os.close(own)
        if written:
            self._sync_names()

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
