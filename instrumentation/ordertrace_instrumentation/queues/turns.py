"""A consumer's loop: the messages that it takes, turn by turn, with no call around the work on each."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ordertrace_instrumentation.queues.handling import Handling


class Turns:
    """The turns of one consumer: an order is bound from its message's turn to the next.

    `make` gives the handling of a record. Asking for more says that what was taken before is done, and so does a
    commit. A loop that was left by an exception or a break settles nothing: only a commit then says that it is.
    """

    def __init__(self, make: Callable[[Any], Handling]) -> None:
        self._make = make
        self._record: Any = None
        self._current: Handling | None = None
        self._done: list[Handling] = []
        self._left: Handling | None = None
        self._error: BaseException | None = None  # what was being handled when the last turn began

    def take(self, record: Any) -> None:
        """Begin the turn of `record`."""
        if self._current is None or self._record is not record:
            self.rest()
            self._record, self._current, self._left = record, self._make(record), None
            self._error = sys.exc_info()[1]
        self._current.hold()

    def rest(self) -> None:
        """The turn is over, and settled when the loop asks for more."""
        if self._current is not None:
            self._current.release()
            self._done.append(self._current)
            self._current = self._record = None

    def leave(self) -> None:
        """The loop was left in the middle of a turn."""
        if self._current is not None:
            self._current.release()
            self._left = self._current
            self._current = self._record = None

    def drop(self) -> None:
        """The turn is somebody else's to settle."""
        if self._current is not None:
            self._current.release()
            self._current = self._record = None

    def ask(self) -> None:
        """The loop comes back for more, or closes: what it took is done, but for a turn that an exception ended."""
        self.rest()
        error = sys.exc_info()[1]
        if error is not None and error is not self._error and self._done:
            self._done.pop().fail(error)
        self._settle()
        self._left = None

    def commit(self) -> None:
        """The application says that it is done with all that it took. The order stays bound until its next turn."""
        for handling in (self._left, self._current):
            if handling is not None:
                handling.consumed()
        self._left = None
        self._settle()

    def _settle(self) -> None:
        for handling in self._done:
            handling.consumed()
        self._done.clear()


class Batch(list[Any]):
    """The records of one poll, the very list but for this: while one is looped over, its order is bound."""

    def __init__(self, records: Iterable[Any], turns: Turns) -> None:
        super().__init__(records)
        self._turns = turns

    def __iter__(self) -> Iterator[Any]:
        ended = False
        try:
            for record in super().__iter__():
                self._turns.take(record)
                yield record
            ended = True
        finally:
            (self._turns.rest if ended else self._turns.leave)()
