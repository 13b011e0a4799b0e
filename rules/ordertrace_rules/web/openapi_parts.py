"""The pieces that the OpenAPI document is put together from."""

from typing import Any

Json = dict[str, Any]


def operation(name: str, summary: str, parameters: list[Json], responses: Json, body: str = "") -> Json:
    """An operation named after the function that answers it; `body` names the schema of what it is given."""
    everywhere: Json = {} if "401" in responses else {"401": PROBLEM}
    given: Json = {"requestBody": _body_of(body)} if body else {}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": parameters,
        "responses": {**responses, **everywhere},
        **given,
    }


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def json_of(name: str, description: str = "As asked.") -> Json:
    return {"description": description, "content": {"application/json": {"schema": ref(name)}}}


def _body_of(name: str) -> Json:
    return {"required": True, "content": {"application/json": {"schema": ref(name)}}}


def path(name: str, description: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
    }


def query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def states_of(known: list[str]) -> Json:
    schema = {"type": "array", "items": {"enum": known}}
    return {**query("state", schema, "Only these; all where none is named."), "explode": False}


PROBLEM: Json = {
    "description": "What is wrong and what to do.",
    "content": {"application/problem+json": {"schema": ref("Problem")}},
}
LIMIT: Json = query("limit", {"type": "integer", "minimum": 1, "maximum": 500}, "Rows of a page.")
AFTER: Json = query("after", {"type": "string"}, "The `next` of the page before.")
