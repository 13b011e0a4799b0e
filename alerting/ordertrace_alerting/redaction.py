"""Secrets stay out of `repr`, logs, errors and whatever a target answers."""

from collections.abc import Iterable
from urllib.parse import urlsplit

HIDDEN = "<secret>"


class Secret:
    """Text that shows itself only when asked by name."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def redact_url(url: str) -> str:
    """Scheme and host alone: the rest of a webhook's address is often its password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    rest = parts.path.strip("/") or parts.query or parts.fragment
    return f"{parts.scheme}://{host}/{'…' if rest else ''}"


def redact(text: str, secrets: Iterable[str]) -> str:
    """Replace each of `secrets` in `text`, the longest first."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text
