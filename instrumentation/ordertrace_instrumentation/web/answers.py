"""Listen in while a WSGI application answers: what it said passes on as it is, piece by piece as it comes."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ordertrace_instrumentation.complaints import no_harm
from ordertrace_instrumentation.web.bodies import Listener
from ordertrace_instrumentation.web.served import ServedRequest


class HeardAnswer:
    """Stands between an application and its server's `start_response`; the pieces of the body are told to it."""

    def __init__(self, served: ServedRequest, start_response: Any) -> None:
        self._served = served
        self._start_response = start_response
        self._listener: Listener | None = None

    def start_response(self, status: str, headers: Any, *more: Any) -> Callable[[bytes], object]:
        write: Callable[[bytes], object] = self._start_response(status, headers, *more)
        with no_harm("an answer"):
            self._listener = self._served.begin_answer(int(status[:3]), lowered(headers))

        def heard_write(data: bytes) -> object:
            self.hear(data)
            return write(data)

        return write if self._listener is None else heard_write

    def hear(self, part: bytes = b"", ended: bool = False) -> None:
        if self._listener is not None:
            with no_harm("an answer"):
                self._listener.hear(part, ended)

    def hear_all(self, parts: Sequence[bytes]) -> None:
        for part in parts:
            self.hear(part)
        self.hear(ended=True)


def lowered(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}
