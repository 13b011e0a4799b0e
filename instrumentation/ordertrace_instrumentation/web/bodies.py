"""Listen in while the application reads a JSON body: nothing is read ahead, consumed, held back or changed."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

MAX_BODY = 65_536  # bytes; a longer body is not looked at


class Listener:
    """Collects what passes; `learn` gets the whole body when its end has passed, unless it is too long."""

    def __init__(self, headers: Mapping[str, str], learn: Callable[[bytes], None]) -> None:
        self._learn = learn
        self._length = declared_length(headers)
        self._parts: list[bytes] = []
        self._size = 0
        self._open = self._length is None or self._length <= MAX_BODY

    def hear(self, part: bytes, ended: bool = False) -> None:
        if not self._open:
            return
        self._parts.append(part)
        self._size += len(part)
        if self._size > MAX_BODY:
            self._close()
        elif ended or self._size == self._length:
            body = b"".join(self._parts)
            self._close()
            self._learn(body)

    def _close(self) -> None:
        self._open = False
        self._parts = []


class HeardInput:
    """A WSGI input that a listener hears; in all else the original itself."""

    def __init__(self, inner: Any, listener: Listener) -> None:
        self._inner = inner
        self._listener = listener

    def read(self, *size: int | None) -> bytes:
        part: bytes = self._inner.read(*size)
        wanted = size[0] if size else None
        self._listener.hear(part, ended=wanted is None or wanted < 0 or (wanted > 0 and not part))
        return part

    def readline(self, *size: int) -> bytes:
        line: bytes = self._inner.readline(*size)
        self._listener.hear(line, ended=not line and size != (0,))
        return line

    def readlines(self, *hint: int) -> list[bytes]:
        lines: list[bytes] = self._inner.readlines(*hint)
        self._listener.hear(b"".join(lines), ended=not hint or not lines)
        return lines

    def __iter__(self) -> Iterator[bytes]:
        for line in self._inner:
            self._listener.hear(line)
            yield line
        self._listener.hear(b"", ended=True)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)  # AttributeError where the original has none
        return self._heard_into(value) if name == "readinto" else value

    def _heard_into(self, readinto: Callable[[Any], int | None]) -> Callable[[Any], int | None]:
        def heard_into(buffer: Any) -> int | None:
            size = readinto(buffer)
            if size is not None:
                self._listener.hear(bytes(memoryview(buffer)[:size]), ended=not size and len(buffer) > 0)
            return size

        return heard_into


def wants_json(headers: Mapping[str, str]) -> bool:
    """Whether the body says of itself that it is JSON, in plain UTF-8 bytes."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    encoded = headers.get("content-encoding", "identity").strip().lower()
    return (kind == "application/json" or kind.endswith("+json")) and encoded in ("", "identity")


def declared_length(headers: Mapping[str, str]) -> int | None:
    """The content-length in bytes; None where there is none, or it is no number."""
    text = headers.get("content-length", "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None
