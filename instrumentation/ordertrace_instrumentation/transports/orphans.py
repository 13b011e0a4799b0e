"""What dead processes left: where it lies, and who takes it over."""

import fcntl
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ordertrace_instrumentation.transports.segments import (
    Cursor,
    close_quietly,
    folders_in,
    read_segment,
    remove_segments,
    segments_of,
)
from ordertrace_instrumentation.transports.vocabulary import Batch


class OrphanSpool:
    """The spool of a dead process, held by its lock until it is delivered."""

    def __init__(self, directory: Path, owner_fd: int) -> None:
        self._directory = directory
        self._owner_fd = owner_fd
        self._cursor = Cursor(directory)
        self._position = self._cursor.stored() or (min(segments_of(directory), default=1), 0)

    def append(self, entry: bytes) -> str:
        return "spool_closed"

    def read(self, max_bytes: int) -> Batch | None:
        while True:
            payloads, end = read_segment(self._directory, self._position, max_bytes, None)
            segment = self._position[0]
            if payloads:
                return Batch(payloads, (segment, end))
            following = [s for s in segments_of(self._directory) if s > segment]
            if not following:
                return None
            self._position = (following[0], 0)

    def advance(self, batch: Batch) -> None:
        self._position = batch.position
        self._cursor.keep(batch.position)
        remove_segments(self._directory, (s for s in segments_of(self._directory) if s < self._position[0]))

    def close(self) -> int:
        try:
            if self.read(1) is None:
                shutil.rmtree(self._directory, ignore_errors=True)
        finally:
            self.abandon()
        return 0

    def abandon(self) -> None:
        self._cursor.close()
        close_quietly(self._owner_fd)
        self._owner_fd = -1


@dataclass(frozen=True, slots=True)
class Home:
    """Where the spools of one transport of a service lie: by its role, so that another address changes nothing.

    `role` is one of `roles`, those of all transports of the service; the first of them looks after what lies under
    a role that is no longer there.
    """

    spool_dir: Path
    service: str
    role: str
    roles: Sequence[str]

    @property
    def folder(self) -> Path:
        return self._service_folder / self.role

    def adopt(self) -> OrphanSpool | None:
        """Take over one spool whose owner is dead; None if there is none."""
        orphan = adopt_spool(self.folder)
        if orphan is None and self.role == self.roles[0]:
            without = [d for d in folders_in(self._service_folder) if d.name not in self.roles]
            without += folders_in(
                self.spool_dir
            )  # an earlier layout: by the server's address, of all services
            orphan = next((found for d in without if (found := adopt_spool(d)) is not None), None)
        return orphan

    @property
    def _service_folder(self) -> Path:
        name = quote(self.service, safe="")[:200]
        return self.spool_dir / (f"%2E{name[1:]}" if name.startswith(".") else name)


def adopt_spool(parent: Path) -> OrphanSpool | None:
    """Take over one spool in `parent` whose owner is dead; None if there is none."""
    for directory in folders_in(parent):
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
