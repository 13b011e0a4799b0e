"""docs/intake.md and docs/mapping.md say what the code does."""

import re
from pathlib import Path

from ordertrace_rules.intake import mapping_file, record
from ordertrace_rules.subjects import MAX_ORDERS
from ordertrace_rules.yamlfile import parse_yaml

ROOT = Path(__file__).parents[2]
CODE = [*(ROOT / "rules/ordertrace_rules/intake").glob("*.py"), ROOT / "rules/ordertrace_rules/event.py"]
SUBJECTS = ROOT / "rules/ordertrace_rules/subjects.py"


def test_every_reason_for_keeping_aside_is_documented_and_no_other() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in CODE)
    raised = set(re.findall(r'(?:RecordError|FrameError)\(\s*"(\w+)"', text))
    raised |= set(re.findall(r'reason="(\w+)"', text))
    of_refs = set(re.findall(r'"aliases",\s*"(\w+)"', SUBJECTS.read_text(encoding="utf-8")))
    assert of_refs
    page = (ROOT / "docs/intake.md").read_text(encoding="utf-8")
    table = page.partition("## What is kept aside")[2].partition("## Forward")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == raised | of_refs


def test_the_limits_are_the_documented_ones() -> None:
    page = (ROOT / "docs/intake.md").read_text(encoding="utf-8")
    assert f"| {record.MESSAGE_LIMIT // 1024} KiB |" in page
    assert f"| {record.TEXT_LIMIT // 1024} KiB |" in page
    assert f"{record.LABEL_LIMIT // 1024} KiB, and {record.MAX_LABELS} of them" in page
    assert f"more than {MAX_ORDERS} orders" in page
    assert f"{record.ID_LIMIT} bytes, and {record.MAX_REFS} refs" in page


def test_every_field_of_a_rule_is_documented_and_the_example_is_sound() -> None:
    page = (ROOT / "docs/mapping.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(documented) == sorted(f.name for f in mapping_file.RULE.fields)
    for field in (*mapping_file.WHEN.fields, *mapping_file.TIME.fields):
        assert f"`{field.name}`" in page
    example = re.findall(r"```yaml\n(.+?)```", page, re.DOTALL)[0]
    assert mapping_file.read_mapping(parse_yaml(example, "example")).name == "gateway"
