"""The clock is an argument: nothing in the rules reads the machine's time on its own."""

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> int:
        """The present instant in nanoseconds since the epoch."""
        ...


class SystemClock:
    def now(self) -> int:
        return time.time_ns()


class SetClock:
    """A clock that stands where it was put: for replays, and for tests."""

    def __init__(self, instant: int = 0) -> None:
        self.instant = instant

    def now(self) -> int:
        return self.instant

    def advance_to(self, instant: int) -> None:
        """Move forward to `instant`; an earlier one is ignored, for a clock never runs backwards."""
        self.instant = max(self.instant, instant)
