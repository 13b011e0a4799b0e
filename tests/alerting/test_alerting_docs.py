"""docs/alerting.md: its example is sound, it names every field, and its snippet verifies."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import yaml

from ordertrace_alerting import config as alerting_config_module
from ordertrace_alerting.config import alerting_config
from ordertrace_alerting.fields import Fields
from ordertrace_alerting.redaction import Secret
from ordertrace_alerting.senders.webhook import signed_headers
from ordertrace_rules.yamlfile import parse_yaml

PAGE = (Path(__file__).parents[2] / "docs" / "alerting.md").read_text(encoding="utf-8")


BLOCKS = [parse_yaml(text, "page").data for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


def example() -> dict[str, Any]:
    """The page's first example, of a whole configuration."""
    [block, *_] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    return yaml.safe_load(block)["alerting"]


def with_all_sections(tmp_path: Path) -> dict[str, Any]:
    """The whole, with what the page's further examples add, and the receivers and the file that they name."""
    (tmp_path / "url").write_text("https://ping.example.com/1")
    whole = example()
    for section in BLOCKS[1:]:
        whole |= section
    whole["dead_man"]["url_file"] = str(tmp_path / "url")
    names = ("team-lead", "manager", "phone")
    whole["receivers"] += [{"name": name, "type": "terminal"} for name in names]
    return whole


def test_the_example_is_sound_and_says_the_defaults() -> None:
    config = alerting_config(example())
    plain = alerting_config({})
    assert list(config.receivers) == ["on-call", "console"]
    assert config.retry == plain.retry
    assert config.retention == plain.retention
    for name in ("group_by", "group_wait", "group_interval", "repeat_interval"):
        assert getattr(config.route, name) == getattr(plain.route, name)


def test_every_field_is_documented(monkeypatch: Any, tmp_path: Path) -> None:
    asked: set[str] = set()
    real = Fields.raw
    monkeypatch.setattr(Fields, "raw", lambda self, name: (asked.add(name), real(self, name))[1])
    assert alerting_config_module.alerting_config(with_all_sections(tmp_path))
    shown = set(re.findall(r"(\w+):", " ".join(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))))
    named = {name for name in asked if f"`{name}`" in PAGE or f".{name}`" in PAGE}
    undocumented = asked - shown - named
    assert undocumented == set()
    assert len(asked) > 20


def test_the_webhooks_example_names_incidents_as_they_are_named() -> None:
    [body] = [json.loads(s) for s in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL) if '"signal"' in s]
    data = body["data"]
    assert re.fullmatch(r"[a-z0-9_]+-[1-9][0-9]*", data["incident"])
    assert data["signal"] == f"{data['incident']}:{data['number']}"
    assert data["group"] == {"incident": data["incident"]}


def test_the_snippet_verifies_what_is_sent_and_nothing_else() -> None:
    snippet = next(s for s in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "def is_ours" in s)
    names: dict[str, Any] = {}
    exec(snippet, names)
    old, new = ("whsec_" + base64.b64encode(bytes([n] * 24)).decode() for n in (1, 2))
    headers = signed_headers("id", 5, b"{}", [Secret(new), Secret(old)])
    assert names["is_ours"](b"{}", headers, old)
    assert names["is_ours"](b"{}", headers, new)
    assert not names["is_ours"](b"{ }", headers, new)
