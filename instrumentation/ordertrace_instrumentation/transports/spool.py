"""The spool: an append-only queue on disk, one a process, that outlives a SIGKILL.

A directory of numbered segments, each a run of frames (length, CRC-32, payload), with a cursor that stands
behind the last frame the server acknowledged, and a lock that its owner holds while it lives. Once the write
has returned, the kernel holds the record: no death of the process loses it. Soon after it is on the disk
(`GroupSync`), so that a power cut costs the last moment at most. When the owner is dead another process takes the
lock, delivers the rest and removes the directory (`orphans`).

`_lock` is held for the caller's own write and for a look at numbers, never by the courier while it reads, writes or
removes a file: a caller waits for nobody's disk but its own.
"""

import fcntl
import os
import shutil
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.transports.frames import encode_frame
from ordertrace_instrumentation.transports.group_sync import GroupSync
from ordertrace_instrumentation.transports.segments import (
    Cursor,
    Position,
    close_quietly,
    folders_in,
    read_segment,
    remove_segments,
    segment_name,
    size_of,
)
from ordertrace_instrumentation.transports.vocabulary import Batch

Drop = Literal["newest", "oldest"]

SEGMENT_BYTES = 4 * 1024 * 1024
CLOSE_PATIENCE = 0.5  # seconds that the end of a process waits for a caller whose write hangs
RECOUNT_INTERVAL = 1.0  # seconds between looks at what other spools use of the cap


class Spool:
    """The living process's own spool: it writes, and its courier reads. Raises OSError if it cannot be made.

    Where it is full, `drop` is what goes: the newest record, which `append` then refuses, or the oldest segment that
    the courier is not at; `dropped` is told how many records went with it.
    """

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        drop: Drop = "newest",
        dropped: Callable[[int], None] = lambda records: None,
    ) -> None:
        self._directory = directory
        self._drop = drop
        self._dropped = dropped
        self._segment_bytes = min(SEGMENT_BYTES, max(1, max_bytes // 4))
        self._lock = threading.RLock()
        # Made under a hidden name and locked before it can be seen: nobody adopts a spool that is being born.
        directory.parent.mkdir(parents=True, exist_ok=True)
        newborn = directory.with_name("." + directory.name)
        newborn.mkdir(mode=0o700)
        self._owner_fd = os.open(newborn / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._owner_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        newborn.rename(directory)
        self._segment, self._end, self._records = 1, 0, 0  # the one that is written to
        self._fd = self._open_segment(self._segment)
        self._full: dict[int, tuple[int, int]] = {}  # the ones before it: bytes and records of each
        self._position: Position = (1, 0)  # where the courier stands: behind what was acknowledged
        self._room = max_bytes  # bytes that are left of the cap
        self._refused = False  # the disk did, since the segment was begun
        self._torn = False  # it ends in a piece of a frame
        self._others, self._recount_at = 0, 0.0
        self._recount()
        self._cursor = Cursor(directory)
        self._sync = GroupSync(directory, then=self._recount)
        self._unsynced = self._sync.written

    def append(self, entry: bytes) -> str:
        frame = encode_frame(entry)
        size = len(frame)
        with self._lock:
            if size > self._room and not self._make_room(size):
                return "spool_full"
            try:
                if self._end >= self._segment_bytes or self._torn:
                    self._begin(self._open_segment(self._segment + 1))
                written = os.write(self._fd, frame)
                if written == size:
                    self._end += size
                    self._room -= size
                    self._records += 1
                    if self._segment not in self._unsynced:
                        self._note_write()
                    return ""
            except OSError as error:
                complain_once(f"the spool {self._directory} cannot be written: {error.strerror}")
            self._refused = True
            self._cut_torn_frame()
            return "spool_write_failed"

    def read(self, max_bytes: int) -> Batch | None:
        while True:
            with self._lock:
                segment, offset = self._position
                is_last = segment == self._segment
                end = self._end if is_last else self._full.get(segment, (0, 0))[0]
            payloads, behind = read_segment(self._directory, (segment, offset), max_bytes, end)
            if payloads:
                return Batch(payloads, (segment, behind))
            if is_last:  # it was: what came meanwhile is for the next look
                return None
            with self._lock:  # this segment is read to its end, or dropped, or the rest of it is damaged
                following = min((s for s in self._full if s > segment), default=self._segment)
            self._stand_at((following, 0))

    def advance(self, batch: Batch) -> None:
        self._stand_at(self._behind(batch.position))

    def _stand_at(self, position: Position) -> None:
        """Move the courier, keep its position on disk, then remove the segments before it."""
        with self._lock:
            self._position = position
            delivered = {s: self._full.pop(s) for s in list(self._full) if s < position[0]}
        self._cursor.keep(position)
        remove_segments(self._directory, delivered)
        with self._lock:
            self._room += sum(size for size, _ in delivered.values())

    def close(self) -> int:
        """Remove the spool if all of it is delivered, else leave it to whoever adopts it."""
        with self._held_at_the_end() as held:
            if held and self._position == (self._segment, self._end):
                self._sync.end()
                shutil.rmtree(self._directory, ignore_errors=True)
                self.abandon()
                return 0
        self._sync.close()
        with self._held_at_the_end() as held:
            if held:
                self.abandon()
        return 0

    def abandon(self) -> None:
        self._sync.abandon()
        self._cursor.close()
        close_quietly(self._fd)
        close_quietly(self._owner_fd)  # not unlocked: a parent that shares the lock still holds it
        self._fd = self._owner_fd = -1

    @contextmanager
    def _held_at_the_end(self) -> Generator[bool]:
        """With the lock, or without it where a write hangs: then the spool is given up with the process."""
        held = self._lock.acquire(timeout=CLOSE_PATIENCE)
        try:
            yield held
        finally:
            if held:
                self._lock.release()

    def _make_room(self, needed: int) -> bool:
        """Whether `needed` bytes fit, after dropping what `drop` allows. Under the lock."""
        oldest = [s for s in self._full if s != self._position[0]] if self._drop == "oldest" else []
        if needed > self._room + sum(self._full[s][0] for s in oldest):
            self._sync.nudge()  # others may have made room meanwhile
            return False
        for segment in oldest:
            if needed <= self._room:
                break
            size, records = self._full.pop(segment)
            remove_segments(self._directory, (segment,))
            self._room += size
            self._dropped(records)
        return True

    def _behind(self, position: Position) -> Position:
        """The same place, in a new segment where the old one is delivered to its end and wants to be removed."""
        with self._lock:
            ripe = self._end >= self._segment_bytes or self._refused  # a full disk gets its room back soon
            following = self._segment + 1
            if not ripe or position != (self._segment, self._end):
                return position
        try:
            fd = self._open_segment(following)
        except OSError as error:
            complain_once(f"the spool {self._directory} cannot be written: {error.strerror}")
            return position
        with self._lock:
            if position == (self._segment, self._end):
                self._begin(fd)
                return following, 0
        close_quietly(fd)  # a caller wrote meanwhile
        return position

    def _begin(self, fd: int) -> None:
        """Go on in the next segment, which `fd` is open on. Under the lock."""
        close_quietly(self._fd)
        self._full[self._segment] = (self._end, self._records)
        self._fd, self._segment, self._end, self._records = fd, self._segment + 1, 0, 0
        self._refused = self._torn = False

    def _recount(self) -> None:
        """The cap covers the whole directory, so that a service which crashes in a loop doesn't fill the disk."""
        if time.monotonic() >= self._recount_at:
            own = self._directory
            others = sum(size_of(d) for d in folders_in(own.parent) if d != own)
            with self._lock:
                self._room += self._others - others
                self._others = others
            self._recount_at = time.monotonic() + RECOUNT_INTERVAL

    def _note_write(self) -> None:
        try:
            self._sync.wrote(self._segment, self._fd)
        except OSError as error:  # the record is taken all the same
            complain_once(f"the spool {self._directory} cannot be synced to disk: {error.strerror}")

    def _open_segment(self, segment: int) -> int:
        path = self._directory / segment_name(segment)
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _cut_torn_frame(self) -> None:
        try:
            os.ftruncate(self._fd, self._end)
        except OSError:
            self._torn = True  # go on in the next segment
