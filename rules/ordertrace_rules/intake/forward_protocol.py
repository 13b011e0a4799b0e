"""The Forward protocol, version 1, as a receiver reads it: bytes in, chunks of records out.

https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1. Read with `raw=True`, since old
clients write text as raw bytes and Fluent Bit writes some keys so; what is text is decoded here.
"""

import hashlib
import hmac
import secrets
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgpack

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_rules.errors import OrdertraceError
from ordertrace_rules.intake.mapping import FLUENT_TAG
from ordertrace_rules.times import NS, format_instant

_msgpack: Any = msgpack  # it comes without types

MAX_FRAME = 64 * 1024 * 1024  # bytes of one message, and of a compressed one when inflated
MAX_ENTRIES = 100_000  # in one list: a list is allocated by the length it claims
_MAX_DEPTH = 64
_UNREADABLE: tuple[type[Exception], ...] = (ValueError, TypeError, RecursionError, _msgpack.UnpackException)
_GZIP = 16 + zlib.MAX_WBITS


class FrameError(OrdertraceError):
    """Bytes that are not Forward protocol: `raw`. `reason` is a short fixed word, fit for a metric."""

    def __init__(self, reason: str, detail: str, raw: object = b"") -> None:
        self.reason = reason
        self.detail = detail
        self.raw = raw or detail
        super().__init__(f"{reason}: {detail}")


@dataclass(frozen=True, slots=True)
class Chunk:
    """One message: its records, and the id to be acknowledged (None where the sender asks for none).

    `damaged` holds the bytes of packed entries that could not be read; the entries before them are there.
    """

    tag: str
    records: tuple[object, ...] = ()
    ack: object = None
    damaged: bytes = b""


@dataclass(slots=True)
class FrameReader:
    """Takes bytes as they arrive and yields whole messages. Keeps at most `max_frame` bytes."""

    max_frame: int = MAX_FRAME
    _unpacker: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._unpacker = _unpacker(self.max_frame)

    def feed(self, data: bytes) -> Iterator[object]:
        """Raises FrameError with the reason `too_large` or `bad_msgpack`."""
        try:
            self._unpacker.feed(data)
            yield from self._unpacker
        except _msgpack.BufferFull:
            raise FrameError("too_large", f"a message of more than {self.max_frame} bytes", data) from None
        except _UNREADABLE as error:
            raise FrameError("bad_msgpack", str(error)[:200], data) from None


def read_chunk(frame: object, max_inflated: int = MAX_FRAME) -> Chunk | None:
    """Read a message in any of the four modes; None for a heartbeat (nil).

    Raises FrameError with the reason `bad_frame`, `bad_gzip`, `too_large` or `unknown_compression`.
    """
    try:
        return None if frame is None else _chunk(frame, max_inflated)
    except FrameError as error:
        raise FrameError(error.reason, error.detail, {"frame": text_deep(frame)}) from None


def _chunk(frame: object, max_inflated: int) -> Chunk:
    if not isinstance(frame, list) or not 2 <= len(parts := cast(list[Any], frame)) <= 4:
        raise FrameError("bad_frame", "a message is an array of two to four")
    if not isinstance(parts[0], bytes | str):
        raise FrameError("bad_frame", "the first element of a message is its tag")
    tag, body = _text(parts[0]), parts[1]
    if _is_time(body):
        if len(parts) < 3:
            raise FrameError("bad_frame", "a message with a time has a record")
        options = _options(parts[3:])
        return Chunk(tag, (_entry(tag, body, parts[2]),), options.get("chunk"))
    options = _options(parts[2:3])
    if isinstance(body, list):
        entries = cast(list[Any], body)
        return Chunk(tag, tuple(_listed(tag, entry) for entry in entries), options.get("chunk"))
    if isinstance(body, bytes | str):
        packed = body if isinstance(body, bytes) else body.encode()
        records, damaged = _unpack(tag, _inflate(packed, options, max_inflated), max_inflated)
        return Chunk(tag, tuple(records), options.get("chunk"), damaged)
    raise FrameError("bad_frame", f"neither a time nor entries: {type(body).__name__}")


def ack(chunk_id: object) -> bytes:
    """The acknowledgement of a chunk: its id as it came, which is text on the wire."""
    return cast(bytes, _msgpack.packb({"ack": chunk_id}, use_bin_type=False))


# --- shared key ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Handshake:
    """The receiver's side of HELO, PING, PONG: both show that they know the key, and neither says it."""

    shared_key: str
    hostname: str
    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    def helo(self) -> bytes:
        return _pack(["HELO", {"nonce": self.nonce, "auth": "", "keepalive": True}])

    def pong(self, ping: object) -> tuple[bool, bytes]:
        """Whether the PING proves the key, and the answer to send."""
        parts = cast(list[Any], ping) if isinstance(ping, list) else []
        if len(parts) < 4 or _bytes(parts[0]) != b"PING":
            return False, self._refusal("a PING was expected")
        client, salt, digest = _bytes(parts[1]), _bytes(parts[2]), _bytes(parts[3])
        if not hmac.compare_digest(self._digest(salt, client).encode(), digest):
            return False, self._refusal("shared_key mismatch")
        answer = self._digest(salt, self.hostname.encode())
        return True, _pack(["PONG", True, "", self.hostname, answer])

    def _digest(self, salt: bytes, hostname: bytes) -> str:
        return hashlib.sha512(salt + hostname + self.nonce + self.shared_key.encode()).hexdigest()

    @staticmethod
    def _refusal(reason: str) -> bytes:
        return _pack(["PONG", False, reason, "", ""])


def _pack(message: object) -> bytes:
    return cast(bytes, _msgpack.packb(message, use_bin_type=True))


# --- entries ---------------------------------------------------------------------------------------------


def _unpacker(max_size: int) -> Any:
    return _msgpack.Unpacker(
        raw=True,
        strict_map_key=False,
        max_buffer_size=max_size,
        max_array_len=MAX_ENTRIES,
        max_map_len=MAX_ENTRIES,
    )


def _unpack(tag: str, packed: bytes, limit: int) -> tuple[list[object], bytes]:
    """The entries of a packed stream, and what is left of it where it cannot be read."""
    unpacker = _unpacker(max(limit, len(packed)))
    unpacker.feed(packed)
    records: list[object] = []
    read = 0
    try:
        for entry in unpacker:
            records.append(_listed(tag, entry))
            read = unpacker.tell()
    except _UNREADABLE:
        pass
    return records, packed[read:]


def _inflate(packed: bytes, options: Mapping[str, object], limit: int) -> bytes:
    compression = _text(options.get("compressed") or b"text")
    if compression == "text":
        return packed
    if compression != "gzip":
        raise FrameError("unknown_compression", f"{compression[:20]!r}: only gzip is read")
    return inflate(packed, limit)


def inflate(packed: bytes, limit: int) -> bytes:
    """All members of a gzip stream. Raises FrameError `too_large` before more than `limit` bytes are made."""
    made = bytearray()
    try:
        while packed:
            member = zlib.decompressobj(_GZIP)
            made += member.decompress(packed, limit - len(made) + 1)
            if len(made) > limit:
                raise FrameError("too_large", f"inflates to more than {limit} bytes")
            if not member.eof:
                raise FrameError("bad_gzip", "the stream is cut short")
            packed = member.unused_data
    except zlib.error as error:
        raise FrameError("bad_gzip", str(error)) from None
    return bytes(made)


def _listed(tag: str, entry: object) -> object:
    """The record of `[time, record]`; anything else as it is, to be kept aside by whoever reads it."""
    if isinstance(entry, list) and len(parts := cast(list[Any], entry)) >= 2 and _is_time(parts[0]):
        return _entry(tag, parts[0], parts[1])
    return text_deep(entry)


def _entry(tag: str, time: object, record: object) -> object:
    """The record, with the message's time where it has none of its own, and its tag."""
    readable = text_deep(record)
    if not isinstance(readable, dict):
        return readable
    fields = cast(dict[str, Any], readable)
    if isinstance(time, list):
        time, meta = cast(list[Any], time)
        if meta:
            fields.setdefault("fluent.metadata", text_deep(meta))
    fields.setdefault(FLUENT_TAG, tag)
    if fields.get(ecs.TIMESTAMP) in (None, ""):
        fields[ecs.TIMESTAMP] = _instant(time)
    return fields


def _is_time(value: Any) -> bool:
    """A number of seconds, an EventTime, or `[time, {metadata}]` as Fluent Bit 2 writes."""
    if isinstance(value, list):
        pair = cast(list[Any], value)
        return len(pair) == 2 and isinstance(pair[1], dict) and _is_time(pair[0])
    if isinstance(value, _msgpack.ExtType):
        return bool(value.code == 0 and len(value.data) == 8)
    return isinstance(value, int | float | _msgpack.Timestamp) and not isinstance(value, bool)


def _instant(time: Any) -> str:
    """RFC 3339. A time that is none stays as text, so that the record is kept aside with `bad_time`."""
    if isinstance(time, _msgpack.ExtType):
        data = time.data
        nanoseconds = int.from_bytes(data[:4], "big") * NS + int.from_bytes(data[4:], "big")
    elif isinstance(time, _msgpack.Timestamp):
        nanoseconds = time.to_unix_nano()
    else:
        try:
            nanoseconds = time * NS if isinstance(time, int) else round(time * 1e6) * 1000
        except (OverflowError, ValueError):
            return str(time)
    try:
        return format_instant(nanoseconds)
    except OverflowError:
        return str(time)


def text_deep(value: Any, depth: int = 0) -> Any:
    """Bytes as text (UTF-8, what is not as U+FFFD), keys too; extension types as hex digits."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        if depth > _MAX_DEPTH:
            return "[too deep]"
        items = cast(dict[Any, Any], value).items()
        return {str(text_deep(k)): text_deep(v, depth + 1) for k, v in items}
    if isinstance(value, _msgpack.ExtType):
        return value.data.hex()
    if isinstance(value, list | tuple):
        if depth > _MAX_DEPTH:
            return "[too deep]"
        return [text_deep(item, depth + 1) for item in cast(list[Any], value)]
    if isinstance(value, _msgpack.Timestamp):
        return format_instant(max(0, value.to_unix_nano()))
    return value


def _options(rest: list[Any]) -> dict[str, Any]:
    """The option object: its keys as text, its values as they came, for an ack gives the chunk id verbatim."""
    found = rest[0] if rest else None
    if not isinstance(found, dict):
        return {}
    return {_text(key): value for key, value in cast(dict[Any, Any], found).items()}


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
