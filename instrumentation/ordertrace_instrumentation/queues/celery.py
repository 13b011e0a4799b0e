"""Celery: the order goes with each task, and is bound while a worker runs it. Only this module imports celery."""

import inspect
from typing import Any

from celery import signals as _signals

from ordertrace_instrumentation.queues import kombu
from ordertrace_instrumentation.queues.handling import Handling, handling
from ordertrace_instrumentation.queues.hooks import quiet
from ordertrace_instrumentation.queues.message import Message, amqp_destination, texts

signals: Any = _signals  # celery has no types
_UID = "ordertrace"
_REFUSALS = {"RETRY": "retried", "REJECTED": "rejected"}


def instrument() -> None:
    """Follow orders through every task of this process, and what it publishes by kombu. Twice is as good as once."""
    kombu.hold("celery")
    signals.task_prerun.connect(_begin, weak=False, dispatch_uid=_UID)
    signals.task_failure.connect(_fail, weak=False, dispatch_uid=_UID)
    signals.task_postrun.connect(_end, weak=False, dispatch_uid=_UID)


def uninstrument() -> None:
    for signal in (signals.task_prerun, signals.task_failure, signals.task_postrun):
        signal.disconnect(dispatch_uid=_UID)
    kombu.let_go("celery")


@quiet
def _begin(task: Any = None, args: Any = (), kwargs: Any = None, **_: Any) -> None:
    request = task.request
    if request.is_eager or request.called_directly:
        return  # no message: the caller's order is bound already
    taken = handling(lambda: _message(task, args or (), kwargs or {}))
    taken.hold()
    request._ordertrace = taken


@quiet
def _fail(sender: Any = None, exception: BaseException | None = None, **_: Any) -> None:
    taken: Handling | None = getattr(sender.request, "_ordertrace", None)
    if taken is not None and exception is not None:
        taken.fail(exception)


@quiet
def _end(task: Any = None, state: Any = None, **_: Any) -> None:
    taken: Handling | None = getattr(task.request, "_ordertrace", None)
    if taken is not None:
        refusal = "handler raised" if state == "FAILURE" else _REFUSALS.get(str(state), "")
        taken.settle(not refusal, refusal)


def _message(task: Any, args: Any, kwargs: Any) -> Message:
    request, conf = task.request, task.app.conf
    info: dict[str, Any] = request.delivery_info or {}
    headers = {**texts(vars(request)), **texts(request.headers)}
    return Message(
        amqp_destination(info.get("exchange"), info.get("routing_key")),
        str(request.id or ""),
        "",
        headers,
        [_named(task, args, kwargs), *args],
        kombu.hosts_of_urls(conf.broker_read_url or conf.broker_url or "localhost"),
    )


def _named(task: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """The arguments under the names that the task's function gives them."""
    try:
        return dict(inspect.signature(task.run).bind_partial(*args, **kwargs).arguments) | kwargs
    except (TypeError, ValueError):
        return dict(kwargs)
