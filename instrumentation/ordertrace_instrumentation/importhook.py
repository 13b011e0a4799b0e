"""Do something when a module is imported for the first time, without importing it."""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, cast


class ImportHook:
    """A finder for `sys.meta_path`: calls `then()` after the awaited module has run, before who imports it goes on."""

    def __init__(self) -> None:
        self._awaited: dict[str, Callable[[], None]] = {}
        self._searching = set[str]()

    def when_imported(self, module: str, then: Callable[[], None]) -> None:
        """Call `then` when `module` is imported, at once if it is there already. Replaces what was awaited before."""
        if module in sys.modules and not _is_running(sys.modules[module]):
            then()
            return
        self._awaited[module] = then
        if self not in sys.meta_path:
            sys.meta_path.insert(0, cast(Any, self))

    def forget(self) -> None:
        """Await nothing any more."""
        self._awaited.clear()
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._awaited or fullname in self._searching:
            return None
        self._searching.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._searching.discard(fullname)
        if spec is not None and spec.loader is not None:
            self._follow(fullname, spec.loader)
        return spec

    def _follow(self, module: str, loader: Any) -> None:
        # On the loader that is found, not around it: frameworks ask a module's loader for its files.
        exec_module: Callable[[ModuleType], None] = loader.exec_module

        def exec_module_and_tell(found: ModuleType) -> None:
            exec_module(found)
            then = self._awaited.pop(module, None)
            if then is not None:
                then()

        try:
            loader.exec_module = exec_module_and_tell
        except AttributeError:  # a loader that takes no attributes: this module stays as it is
            self._awaited.pop(module, None)


def _is_running(module: ModuleType) -> bool:
    """Whether the module is only being imported, so that its names are not all there."""
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))
