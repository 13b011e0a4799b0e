"""JSON Schema of the files that a site writes, made of the same tables that read them."""

from collections.abc import Callable, Mapping

from ordertrace_alerting.config import alerting_schema
from ordertrace_rules.fields import Schema
from ordertrace_rules.intake.mapping_file import mapping_schema
from ordertrace_rules.playbook import PLAYBOOK
from ordertrace_rules.process import PROCESS
from ordertrace_rules.setting_table import CONFIG

DIALECT = "https://json-schema.org/draft/2020-12/schema"

SCHEMAS: Mapping[str, Callable[[], Schema]] = {
    "playbook": lambda: {"$schema": DIALECT, "title": "playbook"} | PLAYBOOK.schema(),
    "process": lambda: {"$schema": DIALECT, "title": "process"} | PROCESS.schema(),
    "config": lambda: (
        {"$schema": DIALECT, "title": "ordertrace.yaml"}
        | CONFIG.schema()
        | {"$defs": alerting_schema()["$defs"]}
    ),
    "alerting": lambda: {"$schema": DIALECT, "title": "alerting"} | alerting_schema(),
    "mapping": mapping_schema,
}


def any_schema() -> Schema:
    """A schema for a file of any kind. What a schema defines is the same in all of them: it goes to the root."""
    made = [make() for make in SCHEMAS.values()]
    definitions = {name: inner for schema in made for name, inner in schema.pop("$defs", {}).items()}
    return {"$schema": DIALECT, "anyOf": made, "$defs": definitions}
