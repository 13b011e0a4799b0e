"""The files of a spool: numbered segments of frames, and the cursor behind what the server has acknowledged."""

import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.transports.frames import HEAD, decode_frames

Position = tuple[int, int]  # segment, offset in it

_CURSOR = struct.Struct(">QQI")  # segment, offset, CRC-32 of both


class Cursor:
    """The position behind the last acknowledged frame, kept on disk. Raises OSError if it cannot be opened."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._fd = os.open(directory / "cursor", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not os.fstat(self._fd).st_size:  # takes its room while there is some
            os.pwrite(self._fd, bytes(_CURSOR.size), 0)

    def stored(self) -> Position | None:
        """What was kept last; None where nothing was, or it is damaged."""
        raw = os.pread(self._fd, _CURSOR.size, 0)
        if len(raw) == _CURSOR.size:
            segment, offset, checksum = _CURSOR.unpack(raw)
            if zlib.crc32(raw[:16]) == checksum:
                return segment, offset
        return None

    def keep(self, position: Position) -> None:
        raw = struct.pack(">QQ", *position)
        try:
            os.pwrite(self._fd, raw + struct.pack(">I", zlib.crc32(raw)), 0)
        except OSError as error:  # then a successor repeats; to stop here would repeat for ever
            complain_once(f"the cursor of the spool {self._directory} cannot be written: {error.strerror}")

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        close_quietly(fd)


def read_segment(
    directory: Path, position: Position, max_bytes: int, end: int | None
) -> tuple[list[bytes], int]:
    """The payloads from `position` on, at least one, at most about `max_bytes`, and the offset behind them.

    `end` is where the segment ends, None for "where the file does". Nothing is read where there is nothing sound.
    """
    segment, offset = position
    try:
        fd = os.open(directory / segment_name(segment), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return [], offset
    try:
        if end is None:
            end = os.fstat(fd).st_size
        data = os.pread(fd, min(end - offset, max(max_bytes, HEAD)), offset) if end > offset else b""
        payloads, used, claimed = decode_frames(data)
        if not payloads and len(data) < claimed <= end - offset:
            payloads, used, claimed = decode_frames(os.pread(fd, claimed, offset))
        if not payloads and claimed == 0 and end - offset > HEAD:
            complain_once(f"a segment of the spool {directory} is damaged; the rest of it is lost")
        return payloads, offset + used
    finally:
        os.close(fd)


def remove_segments(directory: Path, segments: Iterable[int]) -> None:
    for segment in segments:
        try:
            (directory / segment_name(segment)).unlink(missing_ok=True)
        except OSError as error:
            complain_once(f"a segment of the spool {directory} cannot be removed: {error.strerror}")


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


def folders_in(parent: Path) -> list[Path]:
    """Those that can be seen: the spools of one transport, or the transports of one service."""
    try:
        return sorted(d for d in parent.iterdir() if d.is_dir() and not d.name.startswith("."))
    except OSError:
        return []


def close_quietly(fd: int) -> None:
    if fd >= 0:
        try:
            os.close(fd)
        except OSError:
            pass
