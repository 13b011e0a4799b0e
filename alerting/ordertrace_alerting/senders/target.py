"""A target behind HTTP: one guarded request, its answer judged, and no secret in what is said of it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from ordertrace_alerting.durations import NS
from ordertrace_alerting.redaction import Secret, redact, redact_url
from ordertrace_alerting.senders.addresses import Resolve
from ordertrace_alerting.senders.http import Answer, Request, classify, exchange
from ordertrace_alerting.senders.receiver_options import HttpOptions
from ordertrace_alerting.vocabulary import Result

JSON = {"content-type": "application/json; charset=utf-8"}
Judge = Callable[[Answer, int], Result]
"""An answer, and the instant in nanoseconds, to what it means."""


class HttpTarget:
    """`secrets` are hidden in results besides what the address holds."""

    def __init__(self, options: HttpOptions, resolve: Resolve, secrets: Iterable[Secret] = ()) -> None:
        self._options = options
        self._resolve = resolve
        self._hidden = (*(secret.reveal() for secret in secrets), *secret_parts(options.url.reveal()))

    def __str__(self) -> str:
        return redact_url(self._options.url.reveal())

    def post(
        self,
        body: bytes,
        now: int,
        *,
        judge: Judge = classify,
        headers: Mapping[str, str] = JSON,
        query: Mapping[str, str] | None = None,
    ) -> Result:
        """POST `body` once; `query` is added to the address, percent-encoded once."""
        return self.request(
            "POST", _with_query(self._options.url.reveal(), query or {}), body, now, judge, headers
        )

    def request(
        self,
        method: str,
        url: str,
        body: bytes,
        now: int,
        judge: Judge,
        headers: Mapping[str, str],
        timeout: float | None = None,
    ) -> Result:
        """`timeout` in seconds, where one attempt is several requests; else all of it."""
        answer = exchange(
            Request(
                url=url,
                headers={"user-agent": "ordertrace", **headers},
                body=body,
                timeout=self._options.timeout / NS if timeout is None else timeout,
                allow_private=self._options.allow_private,
                method=method,
            ),
            self._resolve,
        )
        result = answer if isinstance(answer, Result) else judge(answer, now)
        return replace(
            result,
            detail=redact(result.detail, self._hidden),
            provider_code=redact(result.provider_code, self._hidden),
        )


def secret_parts(url: str) -> tuple[str, ...]:
    """What of an address may be a password, in the forms that an answer may repeat it in."""
    parts = urlsplit(url)
    values = [value for _, value in parse_qsl(parts.query)]
    values += [part for part in parts.path.split("/") if len(part) >= _SHORTEST_TOKEN]
    path = parts.path if len(parts.path) > 1 else ""
    return (url, path, unquote(path), parts.query, *(v for v in values if len(v) >= _SHORTEST_TOKEN))


_SHORTEST_TOKEN = 8  # characters; what is shorter is a word such as "send"


def _with_query(url: str, query: Mapping[str, str]) -> str:
    if not query:
        return url
    added = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    return f"{url}{'&' if urlsplit(url).query else '?'}{added}"
