"""loguru: every record passes our patcher. Only this module imports loguru."""

from collections.abc import Callable
from typing import Any

from loguru import logger

from ordertrace_instrumentation.hooks import Hook
from ordertrace_instrumentation.loggers.events import loguru_patcher


def instrument() -> None:
    """Enrich every record, whatever sinks there are; a patcher of the service's own runs after ours."""
    _CONFIGURE.put()
    logger.configure()


def uninstrument() -> None:
    """Leave loguru as it was."""
    _CONFIGURE.take_back()
    core = _core(logger)
    core.patcher = _theirs(core.patcher)


class _Chain:
    """Ours, then the service's own: what it sets itself is the last word."""

    def __init__(self, theirs: Callable[[Any], None] | None) -> None:
        self.theirs = theirs

    def __call__(self, record: Any) -> None:
        loguru_patcher(record)
        if self.theirs is not None:
            self.theirs(record)


def _theirs(patcher: Any) -> Any:
    return patcher.theirs if isinstance(patcher, _Chain) else patcher


def _core(one: Any) -> Any:
    return one._core


def _chaining(configure: Callable[..., Any]) -> Callable[..., Any]:
    def configure_and_chain(self: Any, *args: Any, **kwargs: Any) -> Any:
        done = configure(self, *args, **kwargs)
        core = _core(self)
        if not isinstance(core.patcher, _Chain) and core.patcher is not loguru_patcher:
            core.patcher = _Chain(core.patcher)
        return done

    return configure_and_chain


_CONFIGURE = Hook(type(logger), "configure", _chaining)
