"""The guide says what is known with its numbers, and what is not known, in both languages."""

import re
import string
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import ordertrace_rules
from ordertrace_rules.conditions.logs_missing import LogsMissing
from ordertrace_rules.guide import build_guide
from ordertrace_rules.locales.catalogue import say, sentences
from ordertrace_rules.vocabulary import (
    LANGUAGES,
    Cause,
    Cleared,
    Count,
    Diagnosis,
    Evidence,
    Guide,
    GuideText,
    Incident,
    Member,
    Playbook,
    Process,
    ServiceWord,
    Stage,
    Step,
    Suspect,
    Text,
)

HOUR = 3_600 * 10**9
BOTH = {"en": "text", "zh": "文字"}
PLAYBOOK = Playbook(
    id="paid_not_reserved",
    version=1,
    title={"en": "Paid but not reserved", "zh": "已付款但未锁定库存"},
    verdict={"en": "inventory anomaly", "zh": "库存异常"},
    process="order_fulfilment",
    severity="critical",
    condition=None,
    owner="inventory team",
    suspects=("wms",),
    guide=GuideText(BOTH, (Step(BOTH), Step(BOTH, "support")), (BOTH,), BOTH),
)
PROCESS = Process(
    "order_fulfilment",
    1,
    "order",
    BOTH,
    (Stage("reservation", BOTH, (), (), waiting_title={"en": "waiting for outbound", "zh": "等待出库"}),),
    (),
)
INCIDENT = Incident(
    "paid_not_reserved-1",
    "paid_not_reserved",
    1,
    "",
    1,
    "critical",
    "open",
    "firm",
    2 * HOUR,
    2 * HOUR + 1,
    open_count=37,
    amounts={"CNY": 12_345.6},
    since=HOUR,
    diagnosed_count=37,
)
SUSPECT = Suspect(
    "inventory",
    0.9,
    True,
    "new_error",
    Evidence(Count(37, 37), Count(0, 400), say("new_error", service="inventory", symbol="x"), ("raw line",)),
)
DIAGNOSIS = Diagnosis(
    "localised",
    37,
    400,
    (SUSPECT,),
    (Cleared("wms", 400, {"en": "wms received 0 of 37", "zh": "wms 收到 0 个，共 37 个"}),),
    Cause("inventory", {"en": "It lies in inventory.", "zh": "原因在 inventory。"}, 0.9),
    {"reservation": 37},
    (ServiceWord("inventory", "inventory.reserve_failed", "failure", "conflict", Count(37, 37), "raw last"),),
)
MEMBERS = [
    Member("p", "", f"SO/{n} ?", order_ids=(f"SO/{n} ?",), since=HOUR, amount=9.5, currency="CNY")
    for n in range(20)
]


def build(incident: Incident = INCIDENT, diagnosis: Diagnosis | None = DIAGNOSIS, **over: object) -> Guide:
    given: dict[str, object] = {"playbook": PLAYBOOK, "process": PROCESS, "members": MEMBERS, **over}
    return build_guide(
        incident,
        given["playbook"],  # type: ignore[arg-type]
        given["process"],  # type: ignore[arg-type]
        given["members"],  # type: ignore[arg-type]
        diagnosis,
        now=3 * HOUR,
        base_url="http://h:1/",
    )


def said(guide: Guide, section: str, language: str = "en") -> str:
    return "\n".join(line.text[language] for s in guide.sections if s.id == section for line in s.lines)


def texts(guide: Guide) -> Iterator[Text]:
    yield guide.title
    for section in guide.sections:
        yield section.title
        yield from (line.text for line in section.lines)


def test_the_sections_come_in_their_order() -> None:
    order = ["happened", "evidence", "cause", "cleared", "steps", "avoid", "over_when", "unknown", "orders"]
    assert [s.id for s in build().sections] == order


def test_it_says_how_many_since_when_how_much_where_and_who() -> None:
    guide = build()
    assert "37 orders affected since 1970-01-01T01:00:00Z" in said(guide, "happened")
    assert "12,345.60 CNY" in said(guide, "happened")
    assert "37 of 37 affected orders stand at “waiting for outbound”" in said(guide, "evidence")
    assert "37 of 37 among the affected, 0 of 400 among the healthy" in said(guide, "evidence")
    assert "Confidence 90 %" in said(guide, "cause")
    assert "wms received 0 of 37" in said(guide, "cleared")
    steps = next(s for s in guide.sections if s.id == "steps")
    assert steps.numbered
    assert [line.owner for line in steps.lines] == ["inventory team", "support"]


def test_orders_link_to_their_pages_whatever_their_ids_hold() -> None:
    orders = next(s for s in build().sections if s.id == "orders")
    assert orders.lines[0].href == "http://h:1/orders/SO%2F0%20%3F"
    assert "27 more" in orders.lines[-2].text["en"]
    assert orders.lines[-1].text["en"] == "The list of all 37, with filters and as CSV."
    assert orders.lines[-1].href == "http://h:1/incidents/paid_not_reserved-1/orders"
    assert build().url == "http://h:1/incidents/paid_not_reserved-1"


def test_raw_lines_stand_beside_the_sentences_not_in_them() -> None:
    guide = build()
    evidence = next(s for s in guide.sections if s.id == "evidence")
    assert {"raw line", "raw last"} == {raw for line in evidence.lines for raw in line.log_lines}
    assert not any("raw" in text["en"] for text in texts(guide))


@pytest.mark.parametrize(
    ("diagnosis", "sentence"),
    [
        (
            replace(DIAGNOSIS, verdict="no_localised_cause", cause=None),
            "No localised cause: 37 affected and 400 healthy",
        ),
        (
            replace(DIAGNOSIS, verdict="no_baseline", cause=None, healthy=3, suspects=()),
            "No baseline: only 3 healthy",
        ),
        (None, "No cause is named"),
    ],
)
def test_without_a_cause_it_says_so_plainly(diagnosis: Diagnosis | None, sentence: str) -> None:
    guide = build(diagnosis=diagnosis)
    assert said(guide, "cause").startswith(sentence)
    assert "Confidence" not in said(guide, "cause")


def test_a_shared_attribute_without_a_cause_reads_as_that() -> None:
    what = say("attribute", label="sku", value="A", lift="5")
    trait = Suspect(
        "wms", 0.54, True, "attribute", Evidence(Count(37, 37), Count(70, 400), what, ("raw sku",))
    )
    guide = build(diagnosis=replace(DIAGNOSIS, cause=None, suspects=(trait,), cleared=()))
    assert said(guide, "cause") == (
        "No service stands out among 37 affected and 400 healthy orders. What the affected share: "
        'sku is "A", about 5 times as often as among healthy orders '
        "(37 of 37 among the affected, 70 of 400 among the healthy)."
    )
    assert "没有哪个服务表现突出" in said(guide, "cause", "zh")
    assert next(s for s in guide.sections if s.id == "cause").lines[0].log_lines == ("raw sku",)
    assert "sku" not in said(guide, "evidence")
    assert "not yet why" in said(guide, "unknown")
    assert "Nothing can be said of wms" not in said(guide, "unknown")


def test_a_shared_attribute_stands_beside_the_cause() -> None:
    what = say("attribute_never", label="sku", value="A")
    trait = Suspect("inventory", 0.5, True, "attribute", Evidence(Count(37, 37), Count(0, 400), what))
    guide = build(diagnosis=replace(DIAGNOSIS, suspects=(SUSPECT, trait)))
    lines = said(guide, "cause").splitlines()
    assert lines[0].startswith("It lies in inventory.")
    assert lines[1].startswith(
        'The affected share a trait: sku is "A", as it is of no healthy order (37 of 37'
    )


MISSING = replace(
    PLAYBOOK, title={"en": "Logs are missing", "zh": "日志缺失"}, condition=LogsMissing(), suspects=()
)
NOTHING = Diagnosis("no_baseline", 0, 0)  # what comparing no orders gives


def missing(*services: str, state: str = "open", count: int = 0, **over: object) -> Guide:
    count = count or len(services)
    at = {state: count}
    incident = replace(
        INCIDENT,
        state=state,  # type: ignore[arg-type]
        open_count=at.get("open", 0),
        resolved_count=at.get("resolved", 0),
        withdrawn_count=at.get("withdrawn", 0),
        resolved_at=5 * HOUR,
        amounts={},
    )
    members = [Member("p", "", name, since=HOUR * n) for n, name in enumerate(services, start=1)]
    return build(incident, NOTHING, **{"playbook": MISSING, "members": members, **over})


@pytest.mark.parametrize("playbook", [MISSING, replace(MISSING, condition=None)], ids=["loaded", "gone"])
def test_a_guide_about_a_service_names_it_and_speaks_of_no_orders(playbook: Playbook) -> None:
    guide = missing("inventory", playbook=playbook)
    assert guide.title == {"en": "Logs are missing: inventory", "zh": "日志缺失：服务 inventory"}
    assert said(guide, "happened").startswith("Logs of inventory are missing since 1970-01-01T01:00:00Z;")
    assert said(guide, "happened", "zh").startswith("inventory 的日志自 1970-01-01T01:00:00Z 起缺失")
    assert "inventory" in said(guide, "cause")
    assert said(guide, "evidence") == ""
    listed = next(s for s in guide.sections if s.id == "orders")
    assert listed.title["en"] == "Services without logs"
    assert [(line.text["en"], line.href) for line in listed.lines] == [
        ("inventory, since 1970-01-01T01:00:00Z", "")
    ]
    for text in texts(guide):
        assert "order" not in text["en"], text
        assert "订单" not in text["zh"], text


def test_a_guide_about_many_services_names_some_and_counts_the_others() -> None:
    guide = missing("a", "b", "c", "d", "e", count=30)
    assert guide.title["en"] == "Logs are missing: a, b, c and 27 more"
    assert guide.title["zh"] == "日志缺失：服务 a、b、c 及另外 27 个"
    assert said(guide, "orders").splitlines()[1] == "b, since 1970-01-01T02:00:00Z"
    assert "25 more" in said(guide, "orders")


def test_a_guide_about_a_service_says_when_it_is_over() -> None:
    assert "resolved since 1970-01-01T05:00:00Z: wms can be heard again" in said(
        missing("wms", state="resolved"), "happened"
    )
    assert "no logs of wms were missing" in said(missing("wms", state="withdrawn"), "happened")


def test_what_is_not_known_is_said() -> None:
    incident = replace(
        INCIDENT, missing=("inventory",), assumed=True, diagnosed_count=30, certainty="unverified"
    )
    diagnosis = replace(DIAGNOSIS, sampled="Looked at 500 of 900.", cleared=())
    members = [replace(MEMBERS[0], certainty="unverified"), MEMBERS[1]]
    unknown = said(build(incident, diagnosis, members=members), "unknown")
    assert "Logs of inventory are missing" in unknown
    assert "1 of the 2 orders shown" in unknown
    assert "assumed from activity" in unknown
    assert "used a sample" in unknown
    assert "when 30 orders were affected; 37 are now" in unknown
    assert "Nothing can be said of wms: it spoke of 0 of the 37" in unknown


def test_an_accused_service_within_the_noise_is_said_to_be_neither() -> None:
    accused = replace(SUSPECT, service="wms", score=0.1, above_noise=False)
    diagnosis = replace(DIAGNOSIS, suspects=(SUSPECT, accused), cleared=())
    assert "wms is neither suspected nor cleared" in said(build(diagnosis=diagnosis), "unknown")


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("resolved", "resolved since 1970-01-01T05:00:00Z: all 37 affected orders"),
        ("withdrawn", "withdrawn: later"),
    ],
)
def test_an_incident_that_is_over_says_so_first(state: str, sentence: str) -> None:
    incident = replace(
        INCIDENT,
        state=state,  # type: ignore[arg-type]
        open_count=0,
        resolved_count=37 if state == "resolved" else 0,
        withdrawn_count=37 if state == "withdrawn" else 0,
        resolved_at=5 * HOUR,
    )
    first = next(iter(build(incident).sections)).lines[0].text
    assert sentence in first["en"]
    assert "Verdict" not in said(build(incident), "happened")


def test_every_sentence_is_there_in_both_languages() -> None:
    for diagnosis in (DIAGNOSIS, None):
        for text in texts(build(diagnosis=diagnosis)):
            assert all(text.get(language) for language in LANGUAGES), text
            assert "{" not in "".join(text.values())


# --- the catalogue of sentences ---------------------------------------------------------------------------


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


@pytest.mark.parametrize("key", sorted(sentences()))
def test_both_languages_of_a_sentence_hold_the_same_values(key: str) -> None:
    sentence = sentences()[key]
    assert set(sentence) == set(LANGUAGES)
    assert placeholders(sentence["en"]) == placeholders(sentence["zh"])
    if "{" in sentence["en"]:
        assert re.search(r"[\u4e00-\u9fff]", sentence["zh"])


def test_every_sentence_is_used_and_every_used_one_is_there() -> None:
    root = Path(ordertrace_rules.__file__).parent
    files = (p.read_text(encoding="utf-8") for p in root.rglob("*.py"))
    source = "\n".join(text for text in files if "locales.catalogue import" in text)
    for key in sentences():
        built = key.startswith(("section_", "action_", "slow_", "vanished_", "appeared_")) or key in (
            ["critical", "warning", "info", "open", "acknowledged", "resolved", "withdrawn", "firm"]
        )
        assert re.search(rf"""["']{key}["']""", source) or built, key
    for key in re.findall(r"""\bsay\(\s*["'](\w+)["']""", source):
        assert key in sentences(), key


def test_values_are_put_in_as_they_are_even_with_braces() -> None:
    assert say("order_since", order="{0} {x}", since="now")["en"] == "{0} {x}, since now"
