"""The OpenAPI document cannot drift: it is valid, names every route, and its schemas hold for real answers."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


@pytest.fixture
def document(client) -> dict[str, Any]:
    return client.get("/api/v1/openapi.json").get_json()


def test_the_document_is_valid_openapi(document) -> None:
    validate(document)


def test_every_route_of_the_api_is_in_the_document_and_no_other(morning, document) -> None:
    routes = {
        (PARAMETER.sub(r"{\1}", rule.rule), method.lower(), rule.endpoint.split(".")[1])
        for rule in morning.app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    written = {
        (path, method, operation["operationId"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert routes == written


def test_every_path_is_explained_in_the_docs(document) -> None:
    docs = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
    written = set(re.findall(r"^\| `(?:GET|POST) (/api/\S+?)`", docs, re.M))
    assert written == set(document["paths"])


def test_every_parameter_that_a_route_reads_is_in_the_document(document) -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


REQUESTS = [
    ("get", "/api/v1/incidents", {}),
    ("get", "/api/v1/incidents/{incident_id}", {"incident_id": "paid_not_reserved-1"}),
    ("get", "/api/v1/incidents/{incident_id}", {"incident_id": "none"}),
    ("get", "/api/v1/incidents/{incident_id}/members", {"incident_id": "paid_not_reserved-1"}),
    ("get", "/api/v1/incidents/{incident_id}/guide", {"incident_id": "paid_not_reserved-1"}),
    ("post", "/api/v1/incidents/{incident_id}/acknowledge", {"incident_id": "paid_not_reserved-1"}),
    ("post", "/api/v1/incidents/{incident_id}/feedback", {"incident_id": "paid_not_reserved-1"}),
    (
        "post",
        "/api/v1/incidents/{incident_id}/actions/{action_id}",
        {"incident_id": "paid_not_reserved-1", "action_id": "none"},
    ),
    ("get", "/api/v1/reviews", {}),
    ("get", "/api/v1/deliveries", {}),
    ("get", "/api/v1/deliveries", {"?state": "lost"}),
    ("post", "/api/v1/deliveries/{key}/resend", {"key": "none"}),
    ("get", "/api/v1/silences", {}),
    ("post", "/api/v1/silences", {}),
    ("post", "/api/v1/silences", {"?refused": "yes"}),
    ("post", "/api/v1/silences/{silence_id}/end", {"silence_id": "none"}),
    ("get", "/api/v1/playbooks/stats", {}),
    ("get", "/api/v1/playbooks/stats", {"?days": "0"}),
    ("get", "/api/v1/orders", {"?q": "SO"}),
    ("get", "/api/v1/orders", {}),
    ("get", "/api/v1/orders/{order_id}", {"order_id": "SO-1"}),
    ("get", "/api/v1/orders/{order_id}", {"order_id": "OK-1"}),
    ("get", "/api/v1/orders/{order_id}", {"order_id": "none"}),
    ("get", "/api/v1/playbooks", {}),
    ("get", "/api/v1/processes", {}),
    ("get", "/api/v1/pulse", {}),
    ("get", "/api/v1/kept-aside", {}),
    ("get", "/api/v1/openapi.json", {}),
    ("post", "/api/v1/events", {}),
    ("post", "/api/v1/events/{source}", {"source": "unknown"}),
]


@pytest.mark.parametrize(("method", "path", "values"), REQUESTS)
def test_a_real_answer_fits_its_schema(client, document, method, path, values) -> None:
    client.post("/api/v1/events", data="not json\n", content_type="application/x-ndjson")
    query = {name[1:]: value for name, value in values.items() if name.startswith("?")}
    silence = {"matchers": ["owner=wms"], "reason": "count", "duration": "" if query else "2h"}
    body = {"json": {"by": "Li", "verdict": "right", **silence}} if method == "post" else {}
    client.post("/api/v1/silences", json={"by": "Li", **silence, "duration": "2h"})
    response = client.open(path.format(**values), method=method.upper(), query_string=query, **body)
    described = document["paths"][path][method]["responses"][str(response.status_code)]
    schema = described["content"][response.mimetype]["schema"]
    validator = jsonschema.Draft202012Validator(
        {**schema, "components": document["components"]},
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )
    validator.validate(response.get_json(force=True))


def test_every_route_is_asked_in_these_tests(document) -> None:
    asked = {(path, method) for method, path, _ in REQUESTS}
    assert asked == {(path, method) for path, methods in document["paths"].items() for method in methods}
