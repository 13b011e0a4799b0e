"""Text without what drives a terminal or hides from a reader."""

import re
import unicodedata

_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
)
"""Of ECMA-48: control sequences such as colours, and operating system commands such as the window's title."""

_DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def harmless(text: str) -> str:
    """`text` without escape sequences, control and direction characters and lone surrogates; its lines stay."""
    return "".join(c for c in _ESCAPE_SEQUENCE.sub("", text) if c in "\n\t" or not _drives(c))


def one_line(text: str) -> str:
    return " ".join(harmless(text).split())


def _drives(character: str) -> bool:
    return (
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(character) in _DIRECTIONS
    )
