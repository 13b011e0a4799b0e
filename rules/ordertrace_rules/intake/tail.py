"""Follows a log file as `tail -F` does, and goes on after a restart where it stopped.

The position is kept in the store's checkpoints, written after the lines are stored: a crash in between reads
some lines again, which changes nothing since an event is stored once. A file is known by its first bytes, not
by its inode alone, so that a rotated, copied or truncated one is told from the one that went on growing.
"""

import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import Protocol

from ordertrace_rules.errors import Conflict, OrdertraceError
from ordertrace_rules.intake.intake import Accepted, Intake
from ordertrace_rules.intake.record import MAX_LINE
from ordertrace_rules.stores.protocol import Version, Versioned

INTERVAL = 0.5  # seconds between two looks
_HEAD = 1024  # bytes by which a file is known
_READ = 1024 * 1024  # bytes of lines in one batch

logger = logging.getLogger(__name__)


class Checkpoints(Protocol):
    """What the tail needs of a store."""

    def checkpoint(self, name: str) -> Versioned[str] | None: ...

    def put_checkpoint(self, name: str, value: str, version: Version | None) -> Version: ...


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file was read: its inode, the hash of its first `head_size` bytes, and the offset."""

    inode: int = 0
    head: str = ""
    head_size: int = 0
    offset: int = 0

    @classmethod
    def read(cls, text: str) -> "Position":
        """Raises ValueError, TypeError or KeyError where `text` is none."""
        values = json.loads(text)
        return cls(int(values["inode"]), str(values["head"]), int(values["head_size"]), int(values["offset"]))

    def write(self) -> str:
        values = {"inode": self.inode, "head": self.head, "head_size": self.head_size, "offset": self.offset}
        return json.dumps(values)

    def is_of(self, file: RawIOBase) -> bool:
        """Whether this is a position in that file."""
        size = os.fstat(file.fileno()).st_size
        return size >= self.offset and (not self.head_size or _head(file, self.head_size) == self.head)

    def moved(self, file: RawIOBase, offset: int) -> "Position":
        size = min(_HEAD, offset)
        return Position(os.fstat(file.fileno()).st_ino, _head(file, size), size, offset)


class FileTail:
    """Follows the file at `path`; what it holds when first seen is taken too.

    `mapping` names a rule set for its lines, `service` stands where they do not say one.
    `source` stands for the file in the hash of records without an `event.id`; default: its name. It is the
    same for a rotated file, so lines that are read from the one or the other are the same events.
    """

    def __init__(
        self,
        path: Path,
        intake: Intake,
        checkpoints: Checkpoints,
        *,
        mapping: str | None = None,
        service: str = "",
        source: str = "",
    ) -> None:
        self.path = path.absolute()
        self.source = source or path.name
        self._intake = intake
        self._checkpoints = checkpoints
        self._mapping = mapping
        self._service = service
        self._file: RawIOBase | None = None
        self._position = Position()
        self._version: Version | None = None
        self._loaded = False
        self._refusal = ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def checkpoint_name(self) -> str:
        return f"tail:{self.path}"

    def start(self) -> None:
        """Follow in a thread of its own."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name=f"tail-{self.path.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after what is being stored is stored."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._close()

    def poll(self) -> Accepted:
        """Take everything that is there now. Raises what the store raises; then nothing was skipped."""
        if not self._loaded:
            self._load()
        total = Accepted()
        if self._file is None:
            self._file = self._open_again()
        while self._file is not None and not self._stopping.is_set():
            if self._position.is_of(self._file):
                total += self._drain(self._file, ended=False)
            if self._goes_on(self._file):
                break
            total += self._finish()
            self._keep(Position())
            self._file = self._open(self.path)
        return total

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.poll()
            except OrdertraceError as error:
                logger.warning("%s is not followed for now: %s", self.path, error)
                self._forget()
            except Exception:
                logger.exception("%s is not followed for now", self.path)
                self._forget()
            self._stopping.wait(INTERVAL)

    def _drain(self, file: RawIOBase, *, ended: bool) -> Accepted:
        """Store the lines that are complete; of a file that has ended the last one too."""
        total = Accepted()
        while not self._stopping.is_set():
            lines, size = _whole_lines(file, self._position.offset, ended)
            if not size:
                break
            total += self._intake.accept(
                lines, source=self.source, mapping=self._mapping, service=self._service
            )
            self._keep(self._position.moved(file, self._position.offset + size))
        return total

    def _finish(self) -> Accepted:
        """Take what is left of a file that was renamed, or copied and cut; its last line counts as whole."""
        if self._file is not None and not self._position.is_of(self._file):
            self._close()
            self._file = self._rotated()
        total = self._drain(self._file, ended=True) if self._file is not None else Accepted()
        self._close()
        return total

    def _goes_on(self, file: RawIOBase) -> bool:
        """Whether the open file is still the one at `path`, or there is no new one yet."""
        if not self._position.is_of(file):
            return False
        try:
            now = self.path.stat()
        except OSError:
            return True
        then = os.fstat(file.fileno())
        return (now.st_dev, now.st_ino) == (then.st_dev, then.st_ino)

    def _open_again(self) -> RawIOBase | None:
        """The file that was being read, even if it was renamed or copied meanwhile; else the one at `path`."""
        if self._position == Position():
            return self._open(self.path)
        file = self._rotated()
        if file is None and (file := self._open(self.path)) is not None:
            logger.warning("%s is another file than before, and the old one is gone", self.path)
            self._keep(Position())
        return file

    def _rotated(self) -> RawIOBase | None:
        """The file of the present position, whatever its name is now."""
        for path in self._candidates():
            file = self._open(path)
            if file is not None:
                if self._position.is_of(file):
                    return file
                file.close()
        return None

    def _candidates(self) -> Iterator[Path]:
        """`path` itself if it has the inode, else its rotated names, that with the inode first."""
        siblings = [p for p in self.path.parent.glob(f"{self.path.name}*") if p.is_file()]
        yield from sorted(siblings, key=lambda p: (_inode(p) != self._position.inode, p != self.path, p.name))

    def _open(self, path: Path) -> RawIOBase | None:
        try:
            file = path.open("rb", buffering=0)  # a buffer would show what was there before a truncation
        except FileNotFoundError:
            return None
        except OSError as error:
            if str(error) != self._refusal:  # said once, not with every look at it
                logger.warning("%s cannot be read, and is tried again: %s", path, error.strerror)
            self._refusal = str(error)
            return None
        self._refusal = ""
        return file

    def _load(self) -> None:
        found = self._checkpoints.checkpoint(self.checkpoint_name)
        self._position, self._version = Position(), found.version if found else None
        if found is not None:
            try:
                self._position = Position.read(found.value)
            except (ValueError, TypeError, KeyError):
                logger.warning("the position in %s cannot be read: it is taken from its beginning", self.path)
        self._loaded = True

    def _keep(self, position: Position) -> None:
        try:
            self._version = self._checkpoints.put_checkpoint(
                self.checkpoint_name, position.write(), self._version
            )
        except Conflict:
            self._forget()
            raise
        self._position = position

    def _forget(self) -> None:
        """Begin again from the checkpoint: another process may have moved it."""
        self._close()
        self._loaded = False

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _whole_lines(file: RawIOBase, offset: int, ended: bool) -> tuple[list[bytes], int]:
    """The next lines and their size in bytes. A line longer than may be counts as whole, to be kept aside."""
    data = b""
    while len(data) <= MAX_LINE and b"\n" not in data:
        file.seek(offset + len(data))
        more = file.read(_READ)
        if not more:
            break
        data += more
    end = len(data) if (ended and len(data) < _READ) or b"\n" not in data else data.rindex(b"\n") + 1
    if not (ended or b"\n" in data or len(data) > MAX_LINE):
        return [], 0
    return data[:end].split(b"\n"), end


def _head(file: RawIOBase, size: int) -> str:
    file.seek(0)
    return hashlib.sha256(file.read(size) or b"").hexdigest()[:32]


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
