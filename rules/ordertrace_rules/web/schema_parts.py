"""The pieces that the schemas of the API are put together from."""

from typing import Any

Json = dict[str, Any]


def object_of(**properties: Json) -> Json:
    """An object with these fields, all of them, and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def list_of(items: Json) -> Json:
    return {"type": "array", "items": items}


def map_of(values: Json) -> Json:
    return {"type": "object", "additionalProperties": values}


def or_null(schema: Json) -> Json:
    return {"oneOf": [schema, {"type": "null"}]}


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def enum(*values: str) -> Json:
    return {"type": "string", "enum": list(values)}


STRING: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}
COUNT: Json = {"type": "integer", "minimum": 0}
FLAG: Json = {"type": "boolean"}
STRINGS = list_of(STRING)
STRING_OR_NULL: Json = {"type": ["string", "null"]}
NUMBER_OR_NULL: Json = {"type": ["number", "null"]}
INSTANT: Json = {"type": "string", "format": "date-time"}
INSTANT_OR_NULL: Json = {"type": ["string", "null"], "format": "date-time"}
