"""Which order is being worked on: held in context variables, so threads, tasks and nested orders are right."""

import functools
import inspect
import secrets
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from opentelemetry import trace
from opentelemetry.trace import Span

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.complaints import complain_once, no_harm
from ordertrace_instrumentation.identity import ABSENT_IDS, MAX_ORDER_ID, normalise_order_id, order_trace_id
from ordertrace_instrumentation.record import label_text, safe_text
from ordertrace_instrumentation.shim import current_shim

P = ParamSpec("P")
R = TypeVar("R")


class Scope:
    """One order while it is being worked on. `refs` grows by `link`, for everybody who shares the scope.

    A request's scope may begin without an order, which is adopted later: everybody who shares it then works on
    that order. Until then its records carry the trace `trace_id`, and `orphaned` is the trace that one carried.
    `ask`, where it is set, is called before the scope is read: it may adopt.
    """

    __slots__ = ("_kept", "ask", "labels", "order_id", "orphaned", "refs", "trace_id")

    def __init__(
        self, order_id: str, labels: Mapping[str, str], refs: Mapping[str, str], trace_id: str = ""
    ) -> None:
        self.order_id = order_id
        self.labels = labels
        self.refs = refs
        self.trace_id = trace_id
        self.orphaned = ""
        self.ask: Callable[[], None] | None = None
        self._kept: tuple[Mapping[str, str] | None, dict[str, str]] = (None, {})

    def fields(self) -> Mapping[str, str]:
        """The refs and labels under their ECS names; kept, for many records are made in one scope."""
        refs, kept = self.refs, self._kept
        if kept[0] is not refs:
            made = {ecs.ORDER_REFS + kind: value for kind, value in refs.items()}
            for name, value in self.labels.items():
                made.setdefault((ecs.ORDER_REFS if name in ecs.REF_KINDS else ecs.LABELS) + name, value)
            kept = self._kept = (refs, made)
        return kept[1]

    def add_refs(self, refs: Mapping[str, str]) -> None:
        self.refs = {**self.refs, **refs}  # replaced, never changed: another thread may be reading it

    def adopt(self, order_id: str) -> None:
        if self.order_id:
            self.refs = {}  # another order's
        self.order_id = order_id


NO_ORDER = Scope("", {}, {})
_scope: ContextVar[Scope] = ContextVar("ordertrace_order", default=NO_ORDER)
_stage: ContextVar[str] = ContextVar("ordertrace_stage", default="")


def current_scope() -> Scope:
    scope = _scope.get()
    if scope.ask is not None:
        scope.ask()
    return scope


def current_order_id() -> str:
    """The id of the order that this code works on, empty if none is bound."""
    return current_scope().order_id


def request_scope() -> Scope:
    """A scope that may adopt an order later, with a trace of its own until then."""
    return Scope("", {}, {}, secrets.token_hex(16))


def bind_for_good(order_id: str) -> None:
    """Bind an order until the present context ends: for code that stands in no scope."""
    _scope.set(Scope(order_id, {}, {}))


def current_stage() -> str:
    return _stage.get()


def clean_order_id(value: object) -> str:
    """The canonical id, or "" where the value stands for "no order" or cannot be an order's number."""
    if value is None:
        return ""
    try:
        order_id = normalise_order_id(safe_text(str(value), MAX_ORDER_ID + 1))
    except Exception as error:  # noqa: BLE001 - the service's own __str__ may raise anything
        complain_once(f"an order id cannot be shown: {type(error).__name__}")
        return ""
    if order_id.lower() in ABSENT_IDS:
        return ""
    if len(order_id) > MAX_ORDER_ID:
        complain_once(f"an order id of more than {MAX_ORDER_ID} characters was ignored")
        return ""
    return order_id


def tell_span(span: Span, order_id: str) -> None:
    """Put the order on a span that an OpenTelemetry SDK records; the latest order wins. Never raises."""
    with no_harm("a span"):
        if order_id and span.is_recording():
            span.set_attribute(ecs.ORDER_ID, order_id)
            span.set_attribute(
                ecs.ORDER_TRACE_ID, order_trace_id(order_id, current_shim().settings.namespace)
            )


class _Binding:
    """What `order` and `stage` share: bind on entry, restore on exit; wrap functions of every kind."""

    def __init__(self) -> None:
        self._tokens: list[tuple[Token[Any], Any]] = []

    def _bind(self) -> tuple[Token[Any], Any]:
        raise NotImplementedError

    def _for_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "_Binding":
        """A binding of its own for one call, since calls may overlap."""
        raise NotImplementedError

    def __enter__(self) -> "_Binding":
        self._tokens.append(self._bind())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._tokens:
            return
        token, before = self._tokens.pop()
        try:
            token.var.reset(token)
        except (ValueError, RuntimeError):
            # Left in another context than it was entered in, as generators and some web frameworks do.
            token.var.set(before)

    async def __aenter__(self) -> "_Binding":
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function, coroutine function, generator function or asynchronous generator function."""
        wrapped: Any = function

        if inspect.iscoroutinefunction(function):

            async def call_async(*args: Any, **kwargs: Any) -> Any:
                with self._for_call(args, kwargs):
                    return await wrapped(*args, **kwargs)

            wrapper: Any = call_async
        elif inspect.isasyncgenfunction(function):

            async def iterate_async(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
                async for item in _steps_async(self._for_call(args, kwargs), wrapped(*args, **kwargs)):
                    yield item

            wrapper = iterate_async
        elif inspect.isgeneratorfunction(function):

            def iterate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
                return (yield from _steps(self._for_call(args, kwargs), wrapped(*args, **kwargs)))

            wrapper = iterate
        else:

            def call(*args: Any, **kwargs: Any) -> Any:
                with self._for_call(args, kwargs):
                    return wrapped(*args, **kwargs)

            wrapper = call
        return cast(Callable[P, R], functools.wraps(function)(wrapper))


class order(_Binding):
    """Say that the code inside works on this order: `with order("SO-1", channel="app"): …`.

    Also `async with` and a decorator; a decorator usually finds the id in the call's own arguments:
    `@order(lambda job: job["order_id"])`. Labels go onto every record made inside. An id that stands for
    none (None, "", "null") binds no order: records inside belong to nobody, not to an outer order. Never raises.
    """

    def __init__(self, order_id: object, /, **labels: object) -> None:
        super().__init__()
        self._order_id = order_id
        self._labels = labels

    def _bind(self) -> tuple[Token[Any], Any]:
        before = current_scope()
        if callable(self._order_id):
            complain_once("order(function) finds an id from a call's arguments: it is for use as a decorator")
            return _scope.set(NO_ORDER), before
        order_id = clean_order_id(self._order_id)
        labels = {name: label_text(value) for name, value in self._labels.items() if value is not None}
        if order_id:
            tell_span(trace.get_current_span(), order_id)
        if order_id and order_id == before.order_id:
            if not labels:
                return _scope.set(before), before  # shared, so that what is linked inside is known outside
            return _scope.set(Scope(order_id, {**before.labels, **labels}, before.refs)), before
        return _scope.set(Scope(order_id, labels, {}) if order_id or labels else NO_ORDER), before

    def _for_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "order":
        order_id = self._order_id
        if callable(order_id):
            try:
                order_id = order_id(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - a wrong finder costs the id, never the call
                complain_once(f"no order id was found in a call's arguments: {safe_text(error)}")
                order_id = None
        return order(order_id, **self._labels)


class scoped(_Binding):
    """Bind this very scope, which others share: `with scoped(scope): …`."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self._scope = scope

    def _bind(self) -> tuple[Token[Any], Any]:
        before = _scope.get()
        return _scope.set(self._scope), before


class stage(_Binding):
    """Say in which stage of the order's way the code inside stands: `with stage("reservation"): …`.

    Emits nothing by itself, for a stage begins and ends by what the services say of it; records made inside
    carry `order.stage`. Also `async with` and a decorator. Never raises.
    """

    def __init__(self, name: object, /) -> None:
        super().__init__()
        self._name = safe_text(name)

    def _bind(self) -> tuple[Token[Any], Any]:
        before = _stage.get()
        return _stage.set(self._name), before

    def _for_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "stage":
        return stage(self._name)


def _steps(binding: _Binding, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Run a generator so that the binding holds while it runs, and not in its consumer while it waits."""
    advance: Callable[[], Any] = lambda: next(generator)  # noqa: E731
    try:
        while True:
            try:
                with binding:
                    item = advance()
            except StopIteration as end:
                return end.value
            try:
                sent = yield item
                advance = functools.partial(generator.send, sent)
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - handed on to the generator, as `yield from` does
                advance = functools.partial(generator.throw, error)
    finally:
        with binding:
            generator.close()


async def _steps_async(binding: _Binding, generator: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    try:
        while True:
            with binding:
                try:
                    item = await generator.__anext__()
                except StopAsyncIteration:
                    return
            yield item
    finally:
        with binding:
            await generator.aclose()


class held:
    """An order bound with no block around it, from here to `release`: between two turns of a consumer's loop.

    `release` restores only what is still as this left it: in another thread, or where another order was bound
    since, it changes nothing.
    """

    def __init__(self, order_id: str) -> None:
        before = _scope.get()
        self._before = before
        self._bound = before if order_id == before.order_id else Scope(order_id, {}, {})
        _scope.set(self._bound)

    def release(self) -> None:
        if _scope.get() is self._bound:
            _scope.set(self._before)


class carried:
    """The very order and stage that are bound where this is made, to be bound in another thread. False for neither."""

    def __init__(self) -> None:
        self._scope = _scope.get()
        self._stage = _stage.get()

    def __bool__(self) -> bool:
        return self._scope is not NO_ORDER or bool(self._stage)

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function with them bound; from several threads at once too."""
        scope, stage = _scope.get(), _stage.get()
        _scope.set(self._scope)
        _stage.set(self._stage)
        try:
            return function(*args, **kwargs)
        finally:
            _scope.set(scope)
            _stage.set(stage)
