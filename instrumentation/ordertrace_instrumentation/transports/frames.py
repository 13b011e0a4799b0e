"""Frames: how entries lie one behind the other in a segment of the spool, so that a torn end is seen."""

import struct
import zlib

MAX_PAYLOAD = 64 * 1024 * 1024

_FRAME = struct.Struct(">II")  # length, CRC-32 of the payload
HEAD = _FRAME.size
_head = _FRAME.pack


def encode_frame(payload: bytes) -> bytes:
    return _head(len(payload), zlib.crc32(payload)) + payload


def decode_frames(data: bytes) -> tuple[list[bytes], int, int]:
    """Read whole, sound frames from the start of `data`.

    Returns their payloads, the offset behind the last of them, and how many bytes the next frame claims
    (0 if there is not even a header, or no sound one).
    """
    payloads: list[bytes] = []
    offset = 0
    while offset + HEAD <= len(data):
        length, checksum = _FRAME.unpack_from(data, offset)
        if not 0 < length <= MAX_PAYLOAD:  # zeros are what a crashed file system leaves
            return payloads, offset, 0
        start, end = offset + HEAD, offset + HEAD + length
        if end > len(data):
            return payloads, offset, end - offset
        payload = data[start:end]
        if zlib.crc32(payload) != checksum:
            return payloads, offset, 0
        payloads.append(payload)
        offset = end
    return payloads, offset, 0
