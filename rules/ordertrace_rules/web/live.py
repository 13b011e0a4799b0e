"""Pages that keep themselves fresh: each bears a tag, by which a browser asks whether it changed."""

import hashlib
from collections.abc import Callable

from flask import g, make_response, request, session
from werkzeug.wrappers import Response

from ordertrace_rules.service import Service
from ordertrace_rules.times import MINUTE
from ordertrace_rules.web.access import form_token


def live(service: Service, render: Callable[[], str], *more: str) -> Response:
    """A page that changes with the view's version, with `more`, and, since it tells ages, with the minute."""
    parts = (
        service.views.version(),
        str(service.clock.now() // MINUTE),
        g.language,
        form_token(),
        str(bool(session.get("signed_in"))),
        request.full_path,
        *more,
    )
    etag = hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:24]
    response = make_response("")
    response.set_etag(etag)
    response.vary.update(("Cookie", "Accept-Language", "Authorization"))
    if request.if_none_match.contains_weak(etag):
        response.status_code = 304
        return response
    g.etag = etag
    response.set_data(render())
    return response
