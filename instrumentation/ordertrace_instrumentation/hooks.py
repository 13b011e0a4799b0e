"""Put a wrapper in place of a library's function, once, and take it back."""

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any

_lock = threading.Lock()


class Hook:
    """`owner.name` wrapped by `wrap(original) -> wrapper`, from `put` to `take_back`; each may be called twice.

    Where somebody else has wrapped ours since, theirs stays and ours hands through.
    """

    def __init__(self, owner: object, name: str, wrap: Callable[[Any], Callable[..., Any]]) -> None:
        self._owner = owner
        self._name = name
        self._wrap = wrap
        self._original: Any = None
        self._own: Any = None
        self.active = False

    def put(self) -> None:
        with _lock:
            self.active = True
            if self._own is None:
                self._original = getattr(self._owner, self._name)
                self._own = self._switched(self._original)
                setattr(self._owner, self._name, self._own)

    def take_back(self) -> None:
        with _lock:
            self.active = False
            if self._own is not None and getattr(self._owner, self._name) is self._own:
                setattr(self._owner, self._name, self._original)
                self._original = self._own = None

    def _switched(self, original: Any) -> Callable[..., Any]:
        wrapper = self._wrap(original)

        @functools.wraps(original)
        def switched(*args: Any, **kwargs: Any) -> Any:
            return (wrapper if self.active else original)(*args, **kwargs)

        # Servers look whether an application is a coroutine function, by asyncio's own mark before Python 3.12.
        if inspect.iscoroutinefunction(original):
            mark: Any = getattr(inspect, "markcoroutinefunction", None)
            if mark is not None:
                return mark(switched)
            switched._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
        return switched
