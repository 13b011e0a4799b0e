"""Who may ask: a bearer token or a signed-in session where a token is set; else this machine alone.

Without a token the service listens on the loopback only (the settings refuse anything else). A web page that
the user happens to have open could still reach it, under another name (DNS rebinding) or by a form: so the Host
must be ours, and a request that changes something must not come from another origin.
"""

import hashlib
import hmac
import secrets
from datetime import timedelta
from urllib.parse import urlsplit

from flask import Flask, Response, redirect, render_template, request, session, url_for
from werkzeug.exceptions import BadRequest, Forbidden, MisdirectedRequest
from werkzeug.wrappers import Response as AnyResponse

from ordertrace_rules.problem_details import problem
from ordertrace_rules.settings import Settings, is_loopback
from ordertrace_rules.web.problems import wants_json
from ordertrace_rules.web.routes import local_path

OPEN_ENDPOINTS = frozenset({"health.healthz", "health.readyz", "sign_in", "static"})
OWN_DOOR_ENDPOINTS = frozenset({"events.unnamed", "events.take", "otlp.logs", "otlp.traces"})
"""Endpoints that check a token of their own."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SHIFT = timedelta(hours=12)
COOKIE = "ordertrace_session"


class Access:
    """The guard before every request."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.token
        self._public = urlsplit(settings.public_url)

    def protect(self, app: Flask) -> None:
        # With the token the key changes, and with the key every session ends.
        key = hmac.digest(self._token.encode(), b"ordertrace session", "sha256") if self._token else None
        app.secret_key = key or secrets.token_bytes(32)
        app.config["SESSION_COOKIE_NAME"] = COOKIE
        app.config["SESSION_COOKIE_HTTPONLY"] = True
        app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
        app.config["SESSION_COOKIE_SECURE"] = self._public.scheme == "https"
        app.config["PERMANENT_SESSION_LIFETIME"] = SHIFT
        app.before_request(self._guard)
        app.add_url_rule("/sign-in", "sign_in", self._sign_in, methods=["GET", "POST"])
        app.add_url_rule("/sign-out", "sign_out", self._sign_out, methods=["POST"])
        app.context_processor(lambda: {"form_token": form_token, "signed_in": bool(session.get("signed_in"))})

    def _guard(self) -> AnyResponse | None:
        bearer = self._has_bearer()
        if not self._token and request.endpoint not in ("health.healthz", "health.readyz"):
            self._check_host()
        if request.method not in SAFE_METHODS and not bearer:
            self._check_origin()
        if not self._token or bearer or request.endpoint in OPEN_ENDPOINTS | OWN_DOOR_ENDPOINTS:
            return None
        if session.get("signed_in"):
            return None
        if wants_json():
            response = problem(
                401, "Send the header “Authorization: Bearer <token>” with the service's token."
            )
            response.headers["WWW-Authenticate"] = 'Bearer realm="ordertrace"'
            return response
        wanted = request.full_path.rstrip("?") if request.method == "GET" else "/"
        return redirect(url_for("sign_in", next=wanted))

    def _has_bearer(self) -> bool:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._is_token(given.strip())

    def _is_token(self, given: str) -> bool:
        """In constant time; never where no token is set."""
        same = hmac.compare_digest(_digest(given), _digest(self._token))
        return bool(self._token) and same

    def _check_host(self) -> None:
        name = _host_name(request.host)
        if not is_loopback(name) and name != (self._public.hostname or ""):
            raise MisdirectedRequest(
                f"This service answers to localhost and to the host of public_url, not to “{request.host}”."
            )

    def _check_origin(self) -> None:
        """Refuse what a page of another origin sends; programs send neither of these headers."""
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc not in (request.host, self._public.netloc or None):
            raise Forbidden("This request comes from a page of another site.")
        if origin is None and request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            raise Forbidden("This request comes from a page of another site.")

    def _sign_in(self) -> AnyResponse:
        target = local_path(request.values.get("next", "/"))
        if not self._token or session.get("signed_in"):
            return redirect(target)
        if request.method == "GET":
            return Response(render_template("sign_in.html", next=target, refused=False))
        check_form()
        if not self._is_token(request.form.get("token", "").strip()):
            return Response(render_template("sign_in.html", next=target, refused=True), 403)
        session.clear()
        session.permanent = True
        session["signed_in"] = True
        return redirect(target, 303)

    def _sign_out(self) -> AnyResponse:
        check_form()
        session.clear()
        return redirect("/", 303)


def form_token() -> str:
    """What a form of this session has to carry."""
    if "form" not in session:
        session["form"] = secrets.token_urlsafe(16)
    return session["form"]


def check_form() -> None:
    """Raises BadRequest where a form does not carry its session's token."""
    expected = session.get("form", "")
    given = request.form.get("form_token", "")
    if not expected or not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        raise BadRequest("This form is out of date: go back, reload the page, and send it again.")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
