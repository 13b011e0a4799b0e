"""One thread at a time, and none waits for one that hangs."""

import threading

PATIENCE = 0.25  # seconds that a caller waits for the turn of another that makes no progress


class Turns:
    """Whose turn it is to write. A caller waits for the writes before its own, microseconds each.

    Where one of them hangs (a disk that is gone, NFS), the first that waited `PATIENCE` for it goes without its turn,
    and all that come after go at once, until that write returns. A thread that takes a turn within its own turn (a
    signal handler or a finaliser that logs) goes without too.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        lock = threading.RLock()
        self._acquire, self._release = lock.acquire, lock.release
        self._taken = False
        self._number = 0  # of turns that have ended
        self._hangs = -1  # the turn that somebody waited for in vain

    def take(self) -> str:
        """Return "" with the turn, which `leave` gives back, or the reason for going without."""
        if not self._acquire(False) and not self._wait():
            return "stalled"
        if self._taken:
            self._release()
            return "reentrant"
        self._taken = True
        return ""

    def leave(self) -> None:
        self._taken = False
        self._number += 1
        self._release()

    def _wait(self) -> bool:
        number = self._number
        while self._hangs == number or not self._acquire(timeout=self._patience):
            if number == self._number:
                self._hangs = number
                return False
            number = self._number
        return True
