"""The Elasticsearch of the tests is a real one, and keeps what it acknowledged."""

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

# Starting a server takes 8 s on a free machine, and many times that on a busy one.
pytestmark = pytest.mark.timeout(300)


def _call(method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_the_shared_server_answers(elasticsearch_url: str) -> None:
    about = _call("GET", elasticsearch_url)
    assert int(about["version"]["number"].split(".")[0]) >= 8
    assert about["tagline"] == "You Know, for Search"


def test_a_killed_server_has_what_it_acknowledged_when_it_is_back(
    own_elasticsearch: Callable[[], Any],
) -> None:
    server = own_elasticsearch()
    before = server.url
    assert _call("PUT", f"{before}/orders/_create/A-1", {"order.id": "A-1"})["result"] == "created"
    server.kill()
    assert server.start() == before
    assert _call("GET", f"{before}/orders/_doc/A-1")["_source"] == {"order.id": "A-1"}
