"""structlog: every logger runs our processor before its renderer. Only this module imports structlog."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from structlog import BoundLoggerBase

from ordertrace_instrumentation.hooks import Hook
from ordertrace_instrumentation.loggers.events import structlog_processor


def instrument() -> None:
    """Enrich the events of every bound logger, however structlog is or will be configured."""
    _PROCESS.put()


def uninstrument() -> None:
    """Leave structlog as it was; loggers that are there stop enriching too."""
    _PROCESS.take_back()


class _Enriched:
    """The service's own processors, seen with ours before the last, which renders.

    A view, for `structlog.testing.capture_logs` and others change the list in place.
    """

    def __init__(self, processors: Iterable[Any]) -> None:
        self._processors = processors

    def __iter__(self) -> Iterator[Any]:
        own = list(self._processors)
        if structlog_processor not in own:
            own.insert(max(len(own) - 1, 0), structlog_processor)
        return iter(own)


def _enriching(process_event: Callable[..., Any]) -> Callable[..., Any]:
    def enrich(logger: Any, *args: Any, **kwargs: Any) -> Any:
        seen: Any = object.__new__(cast(type[Any], type(logger)))
        seen.__dict__.update(logger.__dict__, _processors=_Enriched(logger._processors))
        return process_event(seen, *args, **kwargs)

    return enrich


_PROCESS = Hook(BoundLoggerBase, "_process_event", _enriching)
