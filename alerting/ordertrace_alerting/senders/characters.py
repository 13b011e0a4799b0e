"""Text without what drives a terminal or hides from a reader."""

import re

_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
)
"""Of ECMA-48: control sequences such as colours, and operating system commands such as the window's title."""

_DRIVES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]")
"""Controls but tab and line feed, lone surrogates, separators of lines and paragraphs, marks of direction."""


def harmless(text: str) -> str:
    """`text` without escape sequences, control and direction characters and lone surrogates; its lines stay."""
    return _DRIVES.sub("", _ESCAPE_SEQUENCE.sub("", text))


def one_line(text: str) -> str:
    return " ".join(harmless(text).split())
