"""What a site would write in `ordertrace.yaml`, for this shop: time runs 720 times as fast as in the playbooks."""

import json
from collections.abc import Mapping
from pathlib import Path

TIME_SCALE = 720  # 2 h pass in 10 s
CARRIER_MAPPING = Path(__file__).parent / "carrier_mapping.yaml"


def write_configuration(
    directory: Path, webhook_url: str, webhook_secret: str, store: Mapping[str, str] | None = None
) -> Path:
    """Write the rules service's configuration into `directory`; return the file.

    `store` holds the settings of the store; without them it is a SQLite file in `directory`.
    """
    settings: dict[str, object] = {
        **(store or {"store": "sqlite", "sqlite_path": str(directory / "ordertrace.db")}),
        "port": 0,
        "forward_port": 0,
        "tick_interval": "500ms",
        "time_scale": TIME_SCALE,
        "tail": [
            {
                "path": str(directory / "carrier.log"),
                "service": "carrier",
                "mapping": str(CARRIER_MAPPING),
            }
        ],
        "alerting": {
            "receivers": [
                {
                    "name": "team",
                    "type": "webhook",
                    "url": webhook_url,
                    "secrets": [webhook_secret],
                    "allow_private": True,
                }
            ],
            "route": {"receiver": "team", "group_wait": "3s", "group_interval": "5s"},
        },
    }
    file = directory / "ordertrace.yaml"
    file.touch(mode=0o600)
    file.write_text(json.dumps(settings, indent=2), encoding="utf-8")  # JSON is YAML
    return file
