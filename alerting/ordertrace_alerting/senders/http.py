"""One guarded request, and what its answer means. For every sender that speaks HTTP.

It stands on httpcore, the transport of httpx: nothing there follows a redirect or takes a proxy from the
environment, and there is a documented place to choose the address of a connection.
"""

import email.utils
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import httpcore

from ordertrace_alerting.durations import NS
from ordertrace_alerting.senders.addresses import RefusedAddress, Resolve, allowed_addresses, resolve
from ordertrace_alerting.vocabulary import Ok, Permanent, Result, RetryAfter

_MOST_READ = 64 * 1024  # bytes of an answer's body
_EXCERPT = 200  # characters of it that go into the delivery log


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes  # cut at 64 KiB


@dataclass(frozen=True, slots=True)
class Request:
    """`timeout` is for all of it, in seconds: connecting, writing and reading together."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout: float
    allow_private: bool = False
    method: str = "POST"


def exchange(request: Request, resolve: Resolve = resolve) -> Answer | Result:
    """Send it once. Returns the answer, or what it means that there was none."""
    deadline = time.monotonic() + request.timeout
    backend = _GuardedBackend(deadline, request.allow_private, resolve)
    try:
        with httpcore.ConnectionPool(network_backend=backend, max_connections=1) as pool:
            return _answer(pool, request)
    except RefusedAddress as error:
        return Permanent(str(error))
    except httpcore.TimeoutException:
        return RetryAfter(None, f"no answer within {request.timeout:g} s")
    except (httpcore.NetworkError, OSError) as error:
        return RetryAfter(None, f"no connection: {_reason(error)}")
    except httpcore.ProtocolError:
        return RetryAfter(None, "the connection broke, or what came was not HTTP")


def classify(answer: Answer, now: int) -> Result:
    """What a status means by itself; `now` in nanoseconds, for a Retry-After that names a date."""
    status = answer.status
    detail = f"HTTP {status}{beginning(answer.body)}"
    if 200 <= status < 300:
        return Ok(f"HTTP {status}", status)
    if status == 410:
        return Permanent(
            f"HTTP 410: the target is gone and wants no more; disable this receiver{beginning(answer.body)}",
            status,
        )
    if 300 <= status < 400:
        return Permanent(f"HTTP {status}: redirects are not followed; configure the final address", status)
    if status in (408, 429) or status >= 500:
        return RetryAfter(retry_after(answer.headers.get("retry-after", ""), now), detail, status)
    return Permanent(detail, status)


def retry_after(value: str, now: int) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or an HTTP date; None where it holds neither."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        date = email.utils.parsedate_to_datetime(text)
        return max(0.0, date.timestamp() - now / NS)
    except (ValueError, TypeError, OverflowError):
        return None


def _answer(pool: httpcore.ConnectionPool, request: Request) -> Answer:
    seconds = dict.fromkeys(("connect", "read", "write", "pool"), request.timeout)
    with pool.stream(
        request.method,
        request.url,
        headers=list(request.headers.items()),
        content=request.body,
        extensions={"timeout": seconds},
    ) as response:
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
        }
        return Answer(response.status, headers, read_body(response, _MOST_READ))


def read_body(response: httpcore.Response, most: int) -> bytes:
    """The body up to `most` bytes. The status decides: a body that breaks off changes nothing."""
    body = b""
    try:
        for chunk in response.iter_stream():
            body += chunk
            if len(body) >= most:
                break
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError):
        pass
    return body[:most]


def beginning(body: bytes) -> str:
    """ ": " and the beginning of what was said, on one line; nothing where nothing was said."""
    text = " ".join(body.decode("utf-8", "replace").split())
    shown = "".join(c for c in text if c.isprintable())[:_EXCERPT]
    return f": {shown}" if shown else ""


def _reason(error: BaseException) -> str:
    while inner := error.__cause__ or error.__context__:
        error = inner
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


class _GuardedBackend(httpcore.NetworkBackend):
    """Connects to addresses that were judged, and to nothing else."""

    def __init__(self, deadline: float, allow_private: bool, resolve: Resolve) -> None:
        self._deadline = deadline
        self._allow_private = allow_private
        self._resolve = resolve
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = allowed_addresses(
                host.strip("[]"),
                port,
                allow_private=self._allow_private,
                resolve=self._resolve,
                seconds=_left(self._deadline, httpcore.ConnectTimeout),
            )
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(error) from None
        failure: httpcore.NetworkError | httpcore.TimeoutException | None = None
        for address in addresses:
            try:
                stream = self._sockets.connect_tcp(
                    address, port, _left(self._deadline, httpcore.ConnectTimeout)
                )
                return _Timed(stream, self._deadline)
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                failure = error
        raise failure or httpcore.ConnectError(socket.gaierror(f"{host} has no address"))


class _Timed(httpcore.NetworkStream):
    """A stream whose every wait ends at the deadline, however slowly the bytes drip."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(self._deadline, httpcore.ConnectTimeout)
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _left(deadline: float, expired: type[httpcore.TimeoutException]) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise expired("out of time")
    return left
