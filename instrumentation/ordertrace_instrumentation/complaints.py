"""How the shim speaks of its own troubles: on the logger `ordertrace`, each trouble once, never by raising."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

logger = logging.getLogger("ordertrace")
_said: set[str] = set()


def complain_once(message: str, level: int = logging.WARNING) -> None:
    """Say `message` once in the life of the process."""
    if message in _said:
        return
    if len(_said) < 1000:  # a text that varies must not fill the memory
        _said.add(message)
    try:
        logger.log(level, "%s", message)
    except Exception:  # noqa: BLE001 - a handler of the service that raises is no reason to raise here
        pass


@contextmanager
def no_harm(what: str) -> Generator[None]:
    """What fails inside is said once, with `what` it was about, and costs the host nothing."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        complain_once(f"{what} could not be enriched: {type(error).__name__}")
