"""Known causes: questions with counted answers lead to a cause, and the guide shows it with its own steps."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.diagnosis.cohort import Case
from ordertrace_rules.diagnosis.verdict import Facts, decide
from ordertrace_rules.drafts import SHIPPED
from ordertrace_rules.errors import ConfigError, Problem
from ordertrace_rules.event import Event
from ordertrace_rules.guide import build_guide
from ordertrace_rules.rendering.text import render_text
from ordertrace_rules.verdict import Branch, Question
from ordertrace_rules.vocabulary import (
    Cause,
    Cleared,
    Count,
    Diagnosis,
    Evidence,
    Incident,
    Process,
    Stage,
    Suspect,
    in_language,
)

PROCESS = Process(
    "way", 1, "order", {}, (Stage("leg", {"en": "the leg", "zh": "段"}, ("a",), ("b",)),), ("end",)
)
FOUND = Suspect(
    "inventory", 0.9, True, "succession", Evidence(Count(4, 4), Count(0, 9), {"en": "x", "zh": "x"})
)
DIAGNOSIS = Diagnosis(
    "localised",
    4,
    9,
    suspects=(FOUND,),
    cleared=(Cleared("wms", 12),),
    cause=Cause("inventory", {"en": "c", "zh": "c"}, 0.9),
    stopped_at={"leg": 3},
)


def case(name: str, *said: str, **fields: object) -> Case:
    """An order that says these actions one after another; “a!” says that it failed."""
    events = tuple(
        Event(
            id=f"{name}-{n}", timestamp=n + 1, ingested=0, service="shop", action=action.rstrip("!"),
            outcome="failure" if action.endswith("!") else "unknown", order_id=name, **fields,
        )
        for n, action in enumerate(said)
    )  # fmt: skip
    return Case(name, events)


def asked(question: Question, affected: Sequence[Case], healthy: Sequence[Case] = (), **facts: object):
    """The answers, where the question holds; else None."""
    given = Facts(affected, healthy, DIAGNOSIS, PROCESS, **facts)
    named = decide((Branch(question, "known"),), given)
    return None if named is None else named.because


def counts(
    question: Question, affected: Sequence[Case], healthy: Sequence[Case] = ()
) -> tuple[int, ...] | None:
    because = asked(question, affected, healthy)
    if because is None:
        return None
    (evidence,) = because
    return (evidence.affected.k, evidence.affected.n, evidence.healthy.k, evidence.healthy.n)


MIXED = [case("1", "a", "c"), case("2", "a", "c"), case("3", "a"), case("4", "a", "b!")]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (Question(happened=("c",)), (2, 4, 1, 2)),
        (Question(happened=("c",), share=0.6), None),
        (Question(happened=("c",), healthy_share=0.4), None),
        (Question(happened=("c",), never=("a",)), None),
        (Question(never=("b",)), (4, 4, 1, 2)),  # what failed did not happen
        (Question(happened=("b",), outcome="failure", share=0.25), (1, 4, 0, 2)),
        (Question(last=("c",)), (2, 4, 0, 2)),
        (Question(last=("a",), share=0.5), (2, 4, 0, 2)),
        (Question(happened=("a",), service=("wms",)), None),
        (Question(happened=("a",), service=("wms", "shop")), (4, 4, 2, 2)),
    ],
)
def test_what_is_asked_of_each_order_is_counted_in_both_cohorts(
    question: Question, answer: tuple[int, ...] | None
):
    assert counts(question, MIXED, [case("5", "a", "b"), case("6", "a", "c", "x")]) == answer


def test_reason_and_labels_are_those_of_the_record():
    affected = [case("1", "a", reason="sold_out", labels={"sku": "S"}), case("2", "a", reason="locked")]
    assert counts(Question(happened=("a",), reason=("sold_out",)), affected) == (1, 2, 0, 0)
    assert counts(Question(happened=("a",), reason=("x",)), affected) is None
    assert counts(Question(happened=("a",), where={"sku": ("S", "T")}), affected) == (1, 2, 0, 0)
    assert counts(Question(happened=("a",), where={"sku": ("T",)}), affected) is None


@pytest.mark.parametrize(
    ("question", "holds"),
    [
        (Question(standing_in=("leg",)), True),
        (Question(standing_in=("leg",), share=0.8), False),
        (Question(suspect=("inventory", "wms")), True),
        (Question(suspect=("wms",)), False),
        (Question(cleared=("wms",)), True),
        (Question(cleared=("wms", "inventory")), False),
        (Question(logs_missing=False), True),
        (Question(logs_missing=True), False),
        (Question(suspect=("inventory",), unless=Question(cleared=("wms",))), False),
        (Question(any_of=(Question(suspect=("wms",)), Question(cleared=("wms",)))), True),
        (Question(any_of=(Question(suspect=("wms",)), Question(cleared=("x",)))), False),
    ],
)
def test_what_is_asked_of_the_cohort(question: Question, holds: bool):
    assert (asked(question, MIXED) is not None) is holds


def test_missing_logs_are_named():
    (evidence,) = asked(Question(logs_missing=True), MIXED, missing=("inventory", "wms"))
    assert evidence.what["en"] == "the logs of inventory / wms are missing"
    assert asked(Question(logs_missing=False), MIXED, missing=("inventory",)) is None


def test_a_trait_counts_only_where_the_healthy_do_not_share_it():
    def of(sku: str, count: int) -> list[Case]:
        return [case(f"{sku}{n}", "a", labels={"sku": sku}) for n in range(count)]

    question = Question(concentrated_in=("promotion", "sku"))
    assert counts(question, of("hot", 20), [*of("hot", 2), *of("cold", 38)]) == (20, 20, 2, 40)
    assert counts(question, of("hot", 20), of("hot", 40)) is None
    assert counts(question, [case("1", "a")], []) is None


def test_the_first_branch_that_leads_to_a_cause_counts_with_all_answers_on_the_way():
    c, a, never = Question(happened=("c",)), Question(happened=("a",)), Question(suspect=("wms",))
    facts = Facts(MIXED, (), DIAGNOSIS, PROCESS)
    tree = (
        Branch(a, (Branch(never, "one"),)),
        Branch(a, (Branch(c, "two"), Branch(None, "three"))),
        Branch(None, "four"),
    )
    named = decide(tree, facts)
    assert named is not None
    assert (named.cause, [e.affected.k for e in named.because]) == ("two", [4, 2])
    assert decide((Branch(never, "one"), Branch(None, "two")), facts).cause == "two"
    assert decide((Branch(never, "one"),), facts) is None
    assert decide((Branch(None, "one"),), replace(facts, affected=())) is None


# --- in the guide -----------------------------------------------------------------------------------------

PAID = next(p for p in load_catalogue().playbooks if p.id == "paid_not_reserved")
INCIDENT = Incident("paid_not_reserved-1", PAID.id, 1, "", 1, "critical", "open", "firm", 0, 0, open_count=4)


def guide(known_cause: str, language: str = "en") -> str:
    because = (
        Evidence(Count(3, 4), Count(0, 9), {"en": '"x" happened', "zh": '出现 "x"'}, ("the very line",)),
    )
    diagnosis = replace(DIAGNOSIS, known_cause=known_cause, because=because if known_cause else ())
    return render_text(build_guide(INCIDENT, PAID, PROCESS, [], diagnosis, now=0), language)


def test_the_guide_names_the_cause_with_its_counts_and_its_own_steps():
    text = guide("sold_out")
    assert "Known cause: More was sold than there is." in text
    assert 'For 3 of 4 affected orders, healthy 0 of 9: "x" happened.' in text
    assert "Take the product off sale" in text
    assert "Rate limit the deduction calls" not in text
    assert "Don't set the stock to a number by hand" in text
    assert "Don't repair stock or order data by script" in text  # what holds for all causes is said too
    assert "已知原因：超卖：售出数量超过实际库存。" in guide("sold_out", "zh")


def test_where_no_known_cause_fits_the_guide_says_so_and_keeps_its_general_steps():
    diagnosis = replace(DIAGNOSIS, verdict="no_localised_cause", cause=None, suspects=())
    text = render_text(build_guide(INCIDENT, PAID, PROCESS, [], diagnosis, now=0), "en").replace("\n  ", " ")
    assert "None of the causes that this playbook knows fits the 4 orders" in text
    assert text.index("No localised cause") < text.index("None of the causes")
    assert "Rate limit the deduction calls" in text
    assert "the steps are the general ones" in text


def test_where_only_the_comparison_names_a_service_its_finding_comes_first_and_says_where_to_begin():
    evidence = Evidence(Count(4, 4), Count(1, 20), {"en": "x", "zh": "x"})
    summary = {"en": "inventory refuses (4 of 4 against 1 of 20).", "zh": "库存拒绝（4/4，健康 1/20）。"}
    diagnosis = replace(
        DIAGNOSIS,
        cause=Cause("inventory", summary, 0.9),
        suspects=(Suspect("inventory", 0.9, True, "new_error", evidence),),
    )
    guide = build_guide(INCIDENT, PAID, PROCESS, [], diagnosis, now=0)
    [cause] = [section for section in guide.sections if section.id == "cause"]
    assert [in_language(line.text, "en") for line in cause.lines] == [
        "inventory refuses (4 of 4 against 1 of 20). Confidence 90 %.",
        "It is none of the causes that this playbook has steps of its own for, but the comparison points to"
        " inventory (4 of 4): begin there, with the general steps.",
    ]
    assert [in_language(line.text, "zh") for line in cause.lines] == [
        "库存拒绝（4/4，健康 1/20）。可信度 90%。",
        "不属于本手册列有专门步骤的原因，但比对结果指向 inventory（4/4）：请从该服务入手，按通用步骤处理。",
    ]
    assert "None of the causes" not in render_text(guide, "en")


def test_what_the_cause_proposes_comes_before_what_the_playbook_does(make_world):
    world = make_world(("paid_not_reserved",))
    world.say(0, "payment", "payment.captured", "SO-1")
    world.say(
        1, "inventory", "inventory.reserve_failed", "SO-1", event__outcome="failure", event__reason="sold_out"
    )
    world.tick(121)
    incident = world.incidents()["paid_not_reserved-1"]
    assert incident.diagnosis.known_cause == "sold_out"
    assert [p.kind for p in incident.proposals] == ["manual_review", "notify_customer"]


# --- mistakes ---------------------------------------------------------------------------------------------

SEED = (SHIPPED / "playbooks" / "paid_not_reserved.yaml").read_text(encoding="utf-8")
SOLD_OUT = (
    "  - if: {happened: inventory.reserve_failed, reason: [out_of_stock, sold_out, insufficient_stock]}"
)


def problems(tmp_path: Path, old: str, new: str) -> list[Problem]:
    assert old in SEED
    path = tmp_path / "p.yaml"
    path.write_text(SEED.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_catalogue((), [path])
    return [p for p in caught.value.problems if p.file == str(path)]


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "fix"),
    [
        (
            "then: contention",
            "then: contentoin",
            "    then: contentoin",
            "no cause “contentoin”",
            "“contention”",
        ),
        (
            "cause: sold_out}",
            "cause: sold}",
            "    expect: {opened: 2h, cause: sold}",
            "no cause “sold”",
            "“sold_out”",
        ),
        ("  contention:", "  lonely:", "  lonely:", "nothing leads to the cause “lonely”", "remove it"),
        (
            "  - if: {never: [inventory.reserved, inventory.reserve_failed], logs_missing: false}",
            "  - if: {never: [inventory.reserve], logs_missing: false}",
            "  - if: {never: [inventory.reserve], logs_missing: false}",
            "knows the event “inventory.reserve”",
            "inventory.reserved",
        ),
        (
            "  - if: {happened: inventory.reserve_failed, reason: [out",
            "  - if: {suspect: inventry, reason: [out",
            "  - if: {suspect: inventry, reason: [out_of_stock, sold_out, insufficient_stock]}",
            "knows no service “inventry”",
            "“inventory”",
        ),
        (
            "  - if: {happened: inventory.reserve_failed, reason: [out",
            "  - if: {standing_in: pickin, reason: [out",
            "  - if: {standing_in: pickin, reason: [out_of_stock, sold_out, insufficient_stock]}",
            "has no stage “pickin”",
            "“picking”",
        ),
        (
            "  - if: {happened: inventory.reserve_failed, reason: [out",
            "  - if: {reason: [out",
            "  - if: {reason: [out_of_stock, sold_out, insufficient_stock]}",
            "asks nothing",
            "add happened",
        ),
        (
            SOLD_OUT + "\n    then",
            "  - then",
            "  - then: sold_out",
            "never reached",
            "put it last",
        ),
    ],
)
def test_each_mistake_in_the_tree_has_its_line(
    tmp_path: Path, old: str, new: str, line: str, message: str, fix: str
):
    found = [p for p in problems(tmp_path, old, new) if message in p.message]
    assert [p.text for p in found] == [line]
    assert fix in found[0].fix


def test_more_than_three_questions_one_below_another_are_refused(tmp_path: Path):
    way = "contention"
    for _ in range(3):
        way = f"[{{then: {way}}}]"
    (problem,) = [
        p for p in problems(tmp_path, "then: contention", f"then: {way}") if "more than 3" in p.message
    ]
    assert problem.fix
