"""Functions put around a library's methods: they are called with the original, its object, and the arguments."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.hooks import Hook
from ordertrace_instrumentation.record import safe_text

P = ParamSpec("P")
R = TypeVar("R")
Around = Callable[..., Any]
_ALONE = "_ordertrace_alone"  # on an object that is hooked by itself, whether or not its class is


class Hooks:
    """Hooks that are put and taken back together. A method that this version of the library lacks is left out."""

    def __init__(self, methods: Iterable[tuple[type, str, Around]]) -> None:
        self._hooks = [
            Hook(owner, name, functools.partial(_method, around))
            for owner, name, around in methods
            if hasattr(owner, name)
        ]

    def put(self) -> None:
        for hook in self._hooks:
            hook.put()

    def take_back(self) -> None:
        for hook in self._hooks:
            hook.take_back()


def hook_object(target: Any, methods: Iterable[tuple[str, Around]]) -> None:
    """Hook one object for its lifetime. Twice, or beside its class, is as good as once."""
    if _ALONE in vars(target):
        return
    for name, around in methods:
        original = getattr(target, name)
        setattr(target, name, functools.wraps(original)(functools.partial(around, original, target)))
    setattr(target, _ALONE, True)


def _method(around: Around, original: Callable[..., Any]) -> Callable[..., Any]:
    def method(target: Any, *args: Any, **kwargs: Any) -> Any:
        if _ALONE in getattr(target, "__dict__", ()):
            return original(target, *args, **kwargs)
        return around(functools.partial(original, target), target, *args, **kwargs)

    return method


def quiet(function: Callable[P, R]) -> Callable[P, R | None]:
    """What raises costs its own answer, never the service's call: it is said once, and None is returned."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a guest never raises into business code
            complain_once(f"a message's order could not be followed: {safe_text(error)}")
            return None

    return call
