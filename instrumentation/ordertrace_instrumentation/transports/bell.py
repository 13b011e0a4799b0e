"""A bell that wakes a thread."""

import threading


class Bell:
    """Any number of rings are one, until the thread that waits has heard it.

    Not an Event, whose lock a signal handler or a finaliser that rings would wait for where its own thread holds it.
    """

    def __init__(self) -> None:
        self._silent = threading.Lock()
        self._silent.acquire()

    def ring(self) -> None:
        if self._silent.locked():
            try:
                self._silent.release()
            except RuntimeError:
                pass  # somebody rang in between

    def wait(self, timeout: float = -1) -> None:
        """Return once it has been rung, or after `timeout` seconds. For one thread."""
        self._silent.acquire(timeout=timeout)
