"""Threads and executors: the order goes along, where Python's context variables do not."""

import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from opentelemetry import context as otel_context

from ordertrace_instrumentation.context import carried
from ordertrace_instrumentation.queues.hooks import Hooks, quiet

P = ParamSpec("P")
R = TypeVar("R")
_in_submit: ContextVar[bool] = ContextVar("ordertrace_in_submit", default=False)


def instrument() -> None:
    """Carry the order, the stage and OpenTelemetry's context into each `threading.Thread` that is started and each
    function that is given to a `ThreadPoolExecutor`, `loop.run_in_executor` included.

    Daemon threads get none: they are where libraries work for everybody, long after the order that was bound when
    they began. `in_this_order` takes it there.
    """
    _HOOKS.put()


def uninstrument() -> None:
    """Take the hooks away. What was started keeps its order to its end."""
    _HOOKS.take_back()


def in_this_order(function: Callable[P, R]) -> Callable[P, R]:
    """The function, to be called in whatever thread, with the order and stage that are bound here and now."""
    scope, context = carried(), otel_context.get_current()
    if not scope and not context:
        return function

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        token = otel_context.attach(context)
        try:
            return scope.run(function, *args, **kwargs)
        finally:
            otel_context.detach(token)

    return call


def _start(original: Callable[[], None], thread: threading.Thread) -> None:
    if not thread.daemon and not _in_submit.get():
        _carry(thread)
    original()


@quiet
def _carry(thread: threading.Thread) -> None:
    run = thread.run
    there = in_this_order(run)
    if there is run:
        return

    def run_once() -> None:
        del thread.run  # a thread runs once; nothing of ours stays on it
        there()

    thread.run = run_once


def _submit(
    original: Callable[..., Future[Any]],
    executor: Any,
    function: Callable[..., Any],
    /,
    *args: Any,
    **kwargs: Any,
) -> Future[Any]:
    function = quiet(in_this_order)(function) or function
    token = _in_submit.set(True)  # a worker that this starts serves other orders after it
    try:
        return original(function, *args, **kwargs)
    finally:
        _in_submit.reset(token)


_HOOKS = Hooks(((threading.Thread, "start", _start), (ThreadPoolExecutor, "submit", _submit)))
