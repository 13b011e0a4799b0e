"""JSON Schema of the files that a site writes, made of the same tables that read them."""

from collections.abc import Callable, Mapping

from ordertrace_rules.fields import Schema
from ordertrace_rules.intake.mapping_file import mapping_schema
from ordertrace_rules.playbook import PLAYBOOK
from ordertrace_rules.process import PROCESS
from ordertrace_rules.setting_table import CONFIG

DIALECT = "https://json-schema.org/draft/2020-12/schema"

SCHEMAS: Mapping[str, Callable[[], Schema]] = {
    "playbook": lambda: {"$schema": DIALECT, "title": "playbook"} | PLAYBOOK.schema(),
    "process": lambda: {"$schema": DIALECT, "title": "process"} | PROCESS.schema(),
    "config": lambda: {"$schema": DIALECT, "title": "ordertrace.yaml"} | CONFIG.schema(),
    "mapping": mapping_schema,
}


def any_schema() -> Schema:
    """A schema for a file of any kind."""
    return {"$schema": DIALECT, "anyOf": [make() for make in SCHEMAS.values()]}
