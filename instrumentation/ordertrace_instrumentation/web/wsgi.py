"""WSGI: bind the order of a request from its start until its response is finished. Needs no library."""

from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from typing import Any

from ordertrace_instrumentation.places import Given, IncomingRequest, Source, sources_of
from ordertrace_instrumentation.web.answers import HeardAnswer
from ordertrace_instrumentation.web.bodies import HeardInput, Listener
from ordertrace_instrumentation.web.served import KEY, ServedRequest, serve

Environ = MutableMapping[str, Any]
Application = Callable[[Any, Any], Iterable[bytes]]


class OrderMiddleware:
    """Wraps any WSGI application: `application = OrderMiddleware(application)`.

    `order_id_from` says where the id is found, as the setting of that name does, for this application alone. The
    response is untouched. Inside of another one it does nothing.
    """

    def __init__(self, application: Application, order_id_from: Given | None = None) -> None:
        self._application = application
        self._sources = sources_of(order_id_from)

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        return respond(self._application, environ, start_response, self._sources)


def respond(
    application: Application,
    environ: Environ,
    start_response: Any,
    sources: Sequence[Source] | None = None,
) -> Iterable[bytes]:
    """Call the application with the request's order bound, and keep it bound while the answer is iterated."""
    served = None if KEY in environ else served_from(environ, sources)
    if served is None:
        return application(environ, start_response)
    environ[KEY] = served
    if served.listens and "wsgi.input" in environ:
        listener = Listener(served.request.headers, served.learn_body)
        environ["wsgi.input"] = HeardInput(environ["wsgi.input"], listener)
    heard = HeardAnswer(served, start_response) if served.listens_to_answer else None
    with served:
        answer = application(environ, heard.start_response if heard is not None else start_response)
        if heard is not None and isinstance(answer, list | tuple):
            heard.hear_all(answer)
    # A list is finished, and its length tells the server something; so does the type of a file wrapper.
    wrapper = environ.get("wsgi.file_wrapper")
    if isinstance(answer, list | tuple) or (isinstance(wrapper, type) and isinstance(answer, wrapper)):
        return answer
    return _Answer(answer, served, heard)


def served_from(environ: Environ, sources: Sequence[Source] | None) -> ServedRequest | None:
    """What is known of a request by its environ; None, and a complaint, where that fails."""
    headers = {
        name[5:].replace("_", "-").lower(): utf8(value)
        for name, value in environ.items()
        if name.startswith("HTTP_") and isinstance(value, str)
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = str(environ[name])
    request = IncomingRequest(
        str(environ.get("REQUEST_METHOD", "")),
        utf8(str(environ.get("PATH_INFO", ""))),
        str(environ.get("QUERY_STRING", "")),
        headers,
    )
    return serve(request, environ.get("REMOTE_ADDR"), sources)


def utf8(text: str) -> str:
    """WSGI hands bytes on as Latin-1; what was UTF-8 is read as such."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


class _Answer:
    """The application's iterable, each step of which runs with the order bound, `close` too."""

    def __init__(self, inner: Iterable[bytes], served: ServedRequest, heard: HeardAnswer | None) -> None:
        self._inner = inner
        self._served = served
        self._heard = heard
        self._steps: Iterator[bytes] | None = None

    def __iter__(self) -> "_Answer":
        return self

    def __next__(self) -> bytes:
        with self._served:
            if self._steps is None:
                self._steps = iter(self._inner)
            try:
                step = next(self._steps)
            except StopIteration:
                if self._heard is not None:
                    self._heard.hear(ended=True)
                raise
            if self._heard is not None:
                self._heard.hear(step)
            return step

    def close(self) -> None:
        close = getattr(self._inner, "close", None)
        if close is not None:
            with self._served:
                close()
