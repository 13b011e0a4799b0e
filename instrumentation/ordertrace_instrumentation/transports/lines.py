"""JSON lines on stdout or in a file: one O_APPEND write a record, so that processes can share the file."""

import os
import select
import stat
import time
from pathlib import Path

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.losses import Losses
from ordertrace_instrumentation.record import Record, json_line
from ordertrace_instrumentation.transports.turns import Turns

REOPEN_INTERVAL = 0.25  # seconds between looks at whether the file was rotated away
STALL_LIMIT = 0.05  # seconds that a record longer than a pipe's atomic write may wait for the reader


class LineTransport:
    """Writes each record at once. `path` None is the process's standard output."""

    def __init__(self, path: Path | None) -> None:
        self.losses = Losses()
        self._path = path
        self._turns = Turns()
        self._sequence = 0
        self._torn = False  # the last write stopped in the middle of a line
        self._looked_at = 0.0
        self._fd = -1
        self._regular = False
        self._identity = (0, 0)

    def ship(self, record: Record, instant: int) -> None:
        record.pop(ecs.EVENT_SEQUENCE, None)  # another transport's
        body = json_line(record)
        lost = self._turns.take()
        if not lost:
            try:
                line = f'{{"{ecs.EVENT_SEQUENCE}":{self._sequence + 1},{body[1:]}\n'
                lost = self._write(line.encode("utf-8", "replace"))
                if not lost:
                    self._sequence += 1
            finally:
                self._turns.leave()
        if lost:
            self.losses.count(lost)

    def close(self, timeout: float) -> None:
        if not self._turns.take():
            self._release()
            self._turns.leave()

    def abandon(self) -> None:
        self._release()

    def _write(self, line: bytes) -> str:
        """Write the line; returns "" or the reason why it is lost."""
        try:
            self._open()
            if self._torn:
                line = b"\n" + line
            write = os.write if self._regular else _write_without_waiting
            written = write(self._fd, line)
        except OSError as error:
            complain_once(f"records cannot be written to {self._path or 'stdout'}: {error.strerror}")
            return "write_failed"
        if written < len(line):
            self._torn = self._torn or written > 0
            return "write_failed" if self._regular else "stalled"
        self._torn = False
        return ""

    def _open(self) -> None:
        """See to it that the file is open, and is still the one at its path."""
        now = time.monotonic()
        if self._fd >= 0 and (self._path is None or now - self._looked_at < REOPEN_INTERVAL):
            return
        self._looked_at = now
        if self._path is None:
            # A descriptor of our own: number 1 may be closed by the service and given to another file.
            self._fd = os.dup(1)
        elif self._fd < 0 or not self._still_there():
            self._release()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            self._torn = False
        status = os.fstat(self._fd)
        self._regular = stat.S_ISREG(status.st_mode)
        self._identity = (status.st_dev, status.st_ino)

    def _still_there(self) -> bool:
        assert self._path is not None
        try:
            status = self._path.stat()
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def _release(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            try:
                os.close(fd)
            except OSError:
                pass


def _write_without_waiting(fd: int, line: bytes) -> int:
    """Write to a pipe or terminal whose reader may be asleep; returns the bytes written.

    A pipe that polls writable takes PIPE_BUF bytes at once. A longer line goes in such pieces, and waits
    for the reader at most STALL_LIMIT.
    """
    written, deadline = 0, time.monotonic() + STALL_LIMIT
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    while written < len(line):
        patience = 0.0 if written == 0 else max(0.0, deadline - time.monotonic())
        ready = poll.poll(patience * 1000)
        if not ready:
            break
        written += os.write(fd, line[written : written + select.PIPE_BUF])
    return written
