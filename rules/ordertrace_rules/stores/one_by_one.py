"""Several compare-and-sets, for stores to which one request more costs nothing."""

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from ordertrace_rules.errors import Conflict
from ordertrace_rules.stores.protocol import Version, Versioned

T = TypeVar("T")


def parts_of(document: Versioned[T] | T) -> tuple[T, Version | None]:
    """The document, and the version that it is to replace; None for a new one."""
    if isinstance(document, Versioned):
        held = cast(Versioned[T], document)
        return held.value, held.version
    return document, None


def put_each(
    documents: Sequence[Versioned[T] | T], put: Callable[[T, Version | None], Version]
) -> list[Version]:
    """Put each in place of the version that it carries, or as a new one; raise the first Conflict at the end."""
    versions: list[Version] = []
    lost: Conflict | None = None
    for document in documents:
        try:
            versions.append(put(*parts_of(document)))
        except Conflict as error:
            lost = lost or error
    if lost is not None:
        raise lost
    return versions
