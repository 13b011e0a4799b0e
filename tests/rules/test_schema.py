"""JSON Schema for editors agrees with what reads the files."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

import ordertrace_rules
from ordertrace_rules.cli.schema import schema
from ordertrace_rules.schema import SCHEMAS, any_schema
from ordertrace_rules.yamlfile import load_yaml, parse_yaml

ROOT = Path(ordertrace_rules.__file__).parent
SHIPPED = [*sorted(ROOT.glob("processes/*.yaml")), *sorted(ROOT.glob("playbooks/*.yaml"))]
SEED = (ROOT / "playbooks/paid_not_reserved.yaml").read_text(encoding="utf-8")
WAY = (ROOT / "processes/order_return.yaml").read_text(encoding="utf-8")


def fits(kind: str, data: Any) -> bool:
    return Draft202012Validator(SCHEMAS[kind]()).is_valid(data)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_each_schema_is_a_sound_one(kind: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[kind]())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_file_fits(path: Path) -> None:
    assert fits(path.parent.name.rstrip("s").replace("processe", "process"), load_yaml(path).data)
    assert Draft202012Validator(any_schema()).is_valid(load_yaml(path).data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 1", "versoin: 1"),
        ("version: 1", "version: one"),
        ("version: 1", "version: 0"),
        ("playbook: paid_not_reserved", "playbook: Paid"),
        ("severity: critical", "severity: loud"),
        ("severity: critical\n", ""),
        ("within: 2h", "within: 2"),
        ("within: 2h", "within: 0h"),
        ("within: 2h", "within: 12:30"),
        ("  within: 2h\n", ""),
        ("but_not: inventory.reserved", "but_not: []"),
        ("happened: payment.captured", "stage_overdue: any"),
        (", zh: 库存同步异常}", "}"),
        ("suspects: [wms]", "suspects: {wms: 1}"),
        ("kind: manual_review", "kind: repair"),
        ("  over_when:", "  over:"),
    ],
)
def test_what_lint_refuses_for_its_shape_the_schema_refuses_too(old: str, new: str) -> None:
    assert old in SEED
    assert fits("playbook", parse_yaml(SEED, "f").data)
    assert not fits("playbook", parse_yaml(SEED.replace(old, new, 1), "f").data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("subject: rma_id", "subject: RMA"),
        ("target: 1d", "target: soon"),
        ("    starts: return.requested\n", ""),
        ("- storefront -> returns", "- storefront returns"),
        ("ends: [refund.paid", "calendar: x\nends: [refund.paid"),
        ("ends: [refund.paid", "calendar: {zone: UTC, hours: 9-17}\nends: [refund.paid"),
        ("ends: [refund.paid", "pauses: [{from: a.b}]\nends: [refund.paid"),
    ],
)
def test_the_schema_of_processes_refuses_too(old: str, new: str) -> None:
    assert old in WAY
    assert not fits("process", parse_yaml(WAY.replace(old, new, 1), "f").data)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("forward_port: null\nport: 0\nretention: 30d\ndefault_lateness: 0s\n", True),
        ("sources: {shopify: {token: x}}\nplaybooks: mine\n", True),
        ("prot: 1\n", False),
        ("port: '1'\n", False),
        ("time_scale: 0\n", False),
        ("sources: {Shop ify: {token: x}}\n", False),
        ("tick_interval: 0s\n", False),
    ],
)
def test_the_schema_of_the_configuration_agrees(text: str, good: bool) -> None:
    assert fits("config", parse_yaml(text, "f").data) is good


@pytest.mark.parametrize("kind", ["", *SCHEMAS])
def test_the_command_prints_what_an_editor_reads(kind: str) -> None:
    result = CliRunner().invoke(schema, [kind] if kind else [])
    assert result.exit_code == 0
    assert json.loads(result.output)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize(
    ("when", "good"),
    [
        ("{after: a.b, all_of: [c.d, e.f], within: 4h}", True),
        ("{after: a.b, any_of: c.d, within: 4h}", True),
        ("{after: a.b, none_of: c.d, within: 4h, until: e.f}", True),
        ("{after: a.b, all_of: c.d, none_of: e.f, within: 4h}", False),
        ("{after: a.b, within: 4h}", False),
        ("{status_differs: [shop, wms], for: 30m, equivalent: {sent: [SENT], new: NEW}}", True),
        ("{status_differs: [shop], for: 30m}", False),
        ("{status_differs: [shop, wms, crm], for: 30m}", False),
        ("{not_consumed: any, within: 5m}", True),
        ("{not_consumed: [stock], subscriber: wms, within: 5m}", True),
        ("{not_consumed: [], within: 5m}", False),
        ("{queue_age: any, over: 5m}", True),
        ("{queue_age: any, within: 5m}", False),
        ("{steps: [{event: a.b}, {event: [c.d, e.f], within: 4h}]}", True),
        ("{steps: [{event: a.b}]}", False),
        ("{steps: [a.b, c.d]}", False),
        ("{sequence: [a.b, c.d], within: 4h, until: e.f}", True),
        ("{sequence: a.b, within: 4h}", False),
        ("{failures_of: a.b, at_least: 3, window: 1h}", True),
        ("{failures_of: a.b, at_least: 3}", False),
        ("{count_of: a.b, at_least: 2, window: 1h, distinct: payment_id}", True),
        ("{stage_at_risk: [picking], chance: 80}", True),
        ("{stage_at_risk: [picking], chance: 100}", False),
        ("{volume_of: a.b, below: 30, service: shop}", True),
        ("{volume_of: a.b, below: 30%}", False),
    ],
)
def test_the_schema_of_conditions_agrees(when: str, good: bool) -> None:
    document = parse_yaml(SEED, "f").data | {"when": parse_yaml(when, "f").data}
    assert fits("playbook", document) is good


@pytest.mark.parametrize(
    ("fields", "good"),
    [
        ('calendar: {zone: Asia/Shanghai, hours: ["09:00-12:00", "13:00-24:00"], closed: 2026-10-01}', True),
        ("pauses: [{from: order.held, until: [order.released]}]", True),
        ("{per: shipment_id, complete: any}", True),
        ("{per: shipment_id, complete: some}", False),
        ("per: [shipment_id]", False),
        ("calendar: {zone: UTC}", False),
        ("calendar: {zone: UTC, hours: 09:00-18:00, days: [monday]}", False),
    ],
)
def test_the_schema_of_stages_agrees(fields: str, good: bool) -> None:
    document = parse_yaml(WAY, "f").data
    document["stages"][0] |= parse_yaml(fields, "f").data
    assert fits("process", document) is good


@pytest.mark.parametrize(
    ("fields", "good"),
    [
        ("{where: {channel: [app, web]}, where_not: {kind: presale}}", True),
        ("{where: [app]}", False),
        ("{escalate: [{to: critical, amount: 1.5, currency: CNY, age: 4h, count: 2}]}", True),
        ("{escalate: [{to: loud, count: 2}]}", False),
        ("{calendar: {zone: UTC, hours: 09:00-18:00}, pauses: [{from: a.b, until: c.d}]}", True),
        ("{actions: [{kind: ticket, title: {en: a, zh: b}, safe: true}]}", True),
        ("{actions: [{kind: ticket, title: {en: a, zh: b}, safe: maybe}]}", False),
        (
            "{diagnose: [{if: {happened: a.b, unless: {last: c.d}}, then: sold_out}, {then: [{then: x}]}]}",
            True,
        ),
        ("{diagnose: [{if: {happend: a.b}, then: sold_out}]}", False),
        ("{diagnose: [{then: [{then: [{then: [{then: x}]}]}]}]}", False),
        ("{causes: {x: {title: {en: a, zh: b}, steps: [{do: {en: a, zh: b}}]}}}", True),
        ("{causes: {x: {title: {en: a, zh: b}}}}", False),
        ("{tests: [{name: n, events: [{at: 0s, event: a.b}], expect: nothing}]}", True),
        ("{tests: [{name: n, events: [{at: 0s, event: a.b}], expect: [{subject: x, opened: 0s}]}]}", True),
        ("{tests: [{name: n, events: [{at: 0, event: a.b}], expect: nothing}]}", False),
        ("{tests: [{name: n, events: [], expect: nothing}]}", False),
    ],
)
def test_the_schema_of_a_playbooks_further_fields_agrees(fields: str, good: bool) -> None:
    document = parse_yaml(SEED, "f").data | parse_yaml(fields, "f").data
    assert fits("playbook", document) is good
