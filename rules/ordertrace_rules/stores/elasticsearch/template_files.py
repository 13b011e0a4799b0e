"""The bodies of the requests as files, for sites that install templates with tools of their own.

`python -m ordertrace_rules.stores.elasticsearch.template_files collector-config/elasticsearch` writes them anew.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ordertrace_rules.stores.elasticsearch import templates
from ordertrace_rules.stores.elasticsearch.indices import KINDS
from ordertrace_rules.times import DAY

RETENTION = 90 * DAY  # the default of the setting


def template_files() -> Mapping[str, str]:
    """The text of each file by its path, which is the path of the request but for the namespace."""
    bodies: dict[str, dict[str, Any]] = {
        f"ingest_pipeline/{templates.PIPELINE}.json": templates.pipeline(),
        f"component_template/{templates.MAPPINGS_COMPONENT}.json": templates.mappings_component(),
        f"component_template/{templates.SETTINGS_COMPONENT}.json": templates.settings_component(),
        f"index_template/{templates.TEMPLATE}.json": templates.index_template(RETENTION),
    }
    for kind, mapping in KINDS.items():
        bodies[f"index/ordertrace.{kind}.json"] = templates.plain_index(mapping)
    return {path: json.dumps(body, indent=2, ensure_ascii=False) + "\n" for path, body in bodies.items()}


def main(directory: Path) -> None:
    for path, text in template_files().items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
