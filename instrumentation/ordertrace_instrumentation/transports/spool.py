"""The spool: an append-only queue on disk, one a process, that outlives a SIGKILL.

A directory of numbered segments, each a run of frames (length, CRC-32, payload), with a cursor that stands
behind the last frame the server acknowledged, and a lock that its owner holds while it lives. Once the write
has returned, the kernel holds the record: no death of the process loses it. Soon after it is on the disk
(`GroupSync`), so that a power cut costs the last moment at most. When the owner is dead another process takes the
lock, delivers the rest and removes the directory.
"""

import fcntl
import os
import shutil
import struct
import threading
import time
import zlib
from pathlib import Path

from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.transports.group_sync import GroupSync
from ordertrace_instrumentation.transports.vocabulary import Batch

SEGMENT_BYTES = 4 * 1024 * 1024
MAX_PAYLOAD = 64 * 1024 * 1024
RECOUNT_INTERVAL = 1.0  # seconds between looks at what other spools use of the cap

_FRAME = struct.Struct(">II")  # length, CRC-32 of the payload
_CURSOR = struct.Struct(">QQI")  # segment, offset, CRC-32 of both


def encode_frame(payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def decode_frames(data: bytes) -> tuple[list[bytes], int, int]:
    """Read whole, sound frames from the start of `data`.

    Returns their payloads, the offset behind the last of them, and how many bytes the next frame claims
    (0 if there is not even a header, or no sound one).
    """
    payloads: list[bytes] = []
    offset = 0
    while offset + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, offset)
        if not 0 < length <= MAX_PAYLOAD:  # zeros are what a crashed file system leaves
            return payloads, offset, 0
        start, end = offset + _FRAME.size, offset + _FRAME.size + length
        if end > len(data):
            return payloads, offset, end - offset
        payload = data[start:end]
        if zlib.crc32(payload) != checksum:
            return payloads, offset, 0
        payloads.append(payload)
        offset = end
    return payloads, offset, 0


class SegmentReader:
    """Reads the segments of one spool from its cursor on. Used by one thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cursor_fd = os.open(directory / "cursor", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.position = self._stored_position()
        if not os.fstat(self._cursor_fd).st_size:  # takes its room while there is some
            os.pwrite(self._cursor_fd, bytes(_CURSOR.size), 0)

    def read(self, max_bytes: int, head: tuple[int, int] | None) -> Batch | None:
        """The next batch. `head` is where the living writer stands; None if nobody writes any more."""
        while True:
            segment, offset = self.position
            payloads, end = self._frames(segment, offset, max_bytes, head)
            if payloads:
                return Batch(payloads, (segment, end))
            following = [s for s in segments_of(self._directory) if s > segment]
            if not following or (head is not None and segment >= head[0]):
                return None
            self.position = (following[0], 0)

    def advance(self, position: tuple[int, int]) -> int:
        """Keep the position on disk, then remove the segments before it; returns the bytes set free."""
        raw = struct.pack(">QQ", *position)
        try:
            os.pwrite(self._cursor_fd, raw + struct.pack(">I", zlib.crc32(raw)), 0)
        except OSError as error:  # then a successor repeats; to stop here would repeat for ever
            complain_once(f"the cursor of the spool {self._directory} cannot be written: {error.strerror}")
        self.position = position
        freed = 0
        for segment in segments_of(self._directory):
            if segment < position[0]:
                path = self._directory / segment_name(segment)
                freed += path.stat().st_size
                path.unlink()
        return freed

    def close(self) -> None:
        close_quietly(self._cursor_fd)
        self._cursor_fd = -1

    def _frames(
        self, segment: int, offset: int, max_bytes: int, head: tuple[int, int] | None
    ) -> tuple[list[bytes], int]:
        limit = head[1] if head is not None and head[0] == segment else None
        if limit is not None and offset >= limit:
            return [], offset
        try:
            fd = os.open(self._directory / segment_name(segment), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return [], offset
        try:
            end = os.fstat(fd).st_size if limit is None else limit
            data = os.pread(fd, min(end - offset, max(max_bytes, _FRAME.size)), offset)
            payloads, used, claimed = decode_frames(data)
            if not payloads and len(data) < claimed <= end - offset:
                payloads, used, claimed = decode_frames(os.pread(fd, claimed, offset))
            if not payloads and claimed == 0 and end - offset > _FRAME.size:
                complain_once(f"a segment of the spool {self._directory} is damaged; the rest of it is lost")
            return payloads, offset + used
        finally:
            os.close(fd)

    def _stored_position(self) -> tuple[int, int]:
        raw = os.pread(self._cursor_fd, _CURSOR.size, 0)
        if len(raw) == _CURSOR.size:
            segment, offset, checksum = _CURSOR.unpack(raw)
            if zlib.crc32(raw[:16]) == checksum:
                return segment, offset
        return min(segments_of(self._directory), default=1), 0


class Spool:
    """The living process's own spool: it writes, and its courier reads. Raises OSError if it cannot be made."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = min(SEGMENT_BYTES, max(1, max_bytes // 4))
        self._lock = threading.RLock()
        # Made under a hidden name and locked before it can be seen: nobody adopts a spool that is being born.
        directory.parent.mkdir(parents=True, exist_ok=True)
        newborn = directory.with_name("." + directory.name)
        newborn.mkdir(mode=0o700)
        self._owner_fd = os.open(newborn / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._owner_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        newborn.rename(directory)
        self._segment, self._end = 1, 0
        self._fd = self._open_segment(self._segment)
        self._stored = 0
        self._refused = False  # the disk did, since the segment was begun
        self._others, self._recount_at = 0, 0.0
        self._reader = SegmentReader(directory)
        self._sync = GroupSync(directory)

    def append(self, entry: bytes) -> str:
        frame = _FRAME.pack(len(entry), zlib.crc32(entry)) + entry
        with self._lock:
            if time.monotonic() >= self._recount_at:
                self._recount()
            if self._stored + self._others + len(frame) > self._max_bytes:
                return "spool_full"
            try:
                if self._end >= self._segment_bytes:
                    self._rotate()
                written = os.write(self._fd, frame)
                if written == len(frame):
                    self._end += written
                    self._stored += written
                    if self._segment not in self._sync.written:
                        self._note_write()
                    return ""
            except OSError as error:
                complain_once(f"the spool {self._directory} cannot be written: {error.strerror}")
            self._refused = True
            self._cut_torn_frame()
            return "spool_write_failed"

    def read(self, max_bytes: int) -> Batch | None:
        with self._lock:
            head = (self._segment, self._end)
        return self._reader.read(max_bytes, head)

    def advance(self, batch: Batch) -> None:
        with self._lock:
            position = batch.position
            ripe = self._end >= self._segment_bytes or self._refused  # a full disk gets its room back soon
            if ripe and position == (self._segment, self._end):
                try:
                    self._rotate()
                    position = (self._segment, 0)
                except OSError as error:
                    complain_once(f"the spool {self._directory} cannot be written: {error.strerror}")
            self._stored -= self._reader.advance(position)

    def close(self) -> int:
        """Remove the spool if all of it is delivered, else leave it to whoever adopts it."""
        with self._lock:
            if self._reader.position == (self._segment, self._end):
                shutil.rmtree(self._directory, ignore_errors=True)
            else:
                self._sync.close()
            self.abandon()
        return 0

    def abandon(self) -> None:
        self._sync.abandon()
        self._reader.close()
        close_quietly(self._fd)
        close_quietly(self._owner_fd)  # not unlocked: a parent that shares the lock still holds it
        self._fd = self._owner_fd = -1

    def _recount(self) -> None:
        """The cap covers the whole directory, so that a service which crashes in a loop doesn't fill the disk."""
        self._recount_at = time.monotonic() + RECOUNT_INTERVAL
        self._others = sum(size_of(d) for d in spools_in(self._directory.parent) if d != self._directory)

    def _note_write(self) -> None:
        try:
            self._sync.wrote(self._segment, self._fd)
        except OSError as error:  # the record is taken all the same
            complain_once(f"the spool {self._directory} cannot be synced to disk: {error.strerror}")

    def _rotate(self) -> None:
        fd = self._open_segment(self._segment + 1)
        close_quietly(self._fd)
        self._fd, self._segment, self._end, self._refused = fd, self._segment + 1, 0, False

    def _open_segment(self, segment: int) -> int:
        path = self._directory / segment_name(segment)
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _cut_torn_frame(self) -> None:
        try:
            os.ftruncate(self._fd, self._end)
        except OSError:
            self._end = max(self._end, self._segment_bytes)  # go on in the next segment


class OrphanSpool:
    """The spool of a dead process, held by its lock until it is delivered."""

    def __init__(self, directory: Path, owner_fd: int) -> None:
        self._directory = directory
        self._owner_fd = owner_fd
        self._reader = SegmentReader(directory)

    def append(self, entry: bytes) -> str:
        return "spool_closed"

    def read(self, max_bytes: int) -> Batch | None:
        return self._reader.read(max_bytes, None)

    def advance(self, batch: Batch) -> None:
        self._reader.advance(batch.position)

    def close(self) -> int:
        if self.read(1) is None:
            shutil.rmtree(self._directory, ignore_errors=True)
        self.abandon()
        return 0

    def abandon(self) -> None:
        self._reader.close()
        close_quietly(self._owner_fd)
        self._owner_fd = -1


def adopt_spool(parent: Path) -> OrphanSpool | None:
    """Take over one spool in `parent` whose owner is dead; None if there is none."""
    for directory in spools_in(parent):
        try:
            fd = os.open(directory / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return OrphanSpool(directory, fd)
        except OSError:  # its owner lives, or another process was quicker
            close_quietly(fd)
    return None


def spools_in(parent: Path) -> list[Path]:
    try:
        return sorted(d for d in parent.iterdir() if d.is_dir() and not d.name.startswith("."))
    except OSError:
        return []


def segments_of(directory: Path) -> list[int]:
    try:
        return sorted(int(path.stem) for path in directory.glob("*.seg") if path.stem.isdigit())
    except OSError:
        return []


def segment_name(segment: int) -> str:
    return f"{segment:08d}.seg"


def size_of(directory: Path) -> int:
    total = 0
    for segment in segments_of(directory):
        try:
            total += (directory / segment_name(segment)).stat().st_size
        except OSError:
            pass
    return total


def close_quietly(fd: int) -> None:
    if fd >= 0:
        try:
            os.close(fd)
        except OSError:
            pass
