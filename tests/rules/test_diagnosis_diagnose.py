"""The diagnosis names the cause, clears the innocent, and says when it does not know."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertrace_rules.cli.contrast import contrast
from ordertrace_rules.diagnosis import parameters
from ordertrace_rules.diagnosis.cohort import Case, group, halves, sample
from ordertrace_rules.diagnosis.diagnose import diagnose
from ordertrace_rules.event import Event
from ordertrace_rules.times import NS
from ordertrace_rules.vocabulary import Diagnosis, Process, Stage

START = 1_767_225_600 * NS
PROCESS = Process(
    id="order_fulfilment",
    version=1,
    subject="order",
    title={"en": "Order"},
    stages=(
        Stage("payment", {"en": "Payment"}, ("order.placed",), ("payment.captured",), services=("payment",)),
        Stage(
            "reservation",
            {"en": "Reservation"},
            ("payment.captured",),
            ("inventory.reserved",),
            fails=("inventory.reserve_failed",),
            services=("inventory",),
        ),
        Stage("intake", {"en": "Intake"}, ("inventory.reserved",), ("wms.received",), services=("wms",)),
    ),
    ends=("delivery.signed",),
    calls=(("storefront", "payment"), ("storefront", "inventory")),
)
Told = tuple[float, str, str]  # seconds, service, action; an action that ends in "!" failed

PLACED: tuple[Told, ...] = ((0, "storefront", "order.placed"), (4, "payment", "payment.captured"))
HEALTHY: tuple[Told, ...] = (
    *PLACED,
    (6, "inventory", "inventory.reserved"),
    (20, "wms", "wms.received"),
    (900, "wms", "wms.packed"),
    (901, "storefront", "order.shipped"),
)
RESERVE_FAILED: tuple[Told, ...] = (
    *PLACED,
    (6, "inventory", "inventory.reserve_failed!"),
    (8, "inventory", "inventory.reserve_failed!"),
    (9, "storefront", "order.stalled!"),
)


def case(number: int, told: Sequence[Told], **labels: str) -> Case:
    subject = f"SO-{number:05}"
    begin = START + number * 7 * NS
    events = [
        Event(
            id=f"{subject}-{place}",
            timestamp=begin + int(seconds * NS),
            ingested=begin,
            service=service,
            action=action.removesuffix("!"),
            outcome="failure" if action.endswith("!") else "success",
            reason="deduct_conflict" if action == "inventory.reserve_failed!" else "",
            order_id=subject,
            labels=labels,
        )
        for place, (seconds, service, action) in enumerate(told)
    ]
    return Case(subject, tuple(sorted(events, key=lambda e: e.position)))


def cases(count: int, told: Sequence[Told], first: int = 0, **labels: str) -> list[Case]:
    return [case(first + number, told, **labels) for number in range(count)]


def note_of(diagnosis: Diagnosis, service: str, language: str = "en") -> str:
    return next(c.note[language] for c in diagnosis.cleared if c.service == service)


def test_the_reference_incident_names_inventory_and_clears_the_warehouse() -> None:
    diagnosis = diagnose(cases(37, RESERVE_FAILED), cases(60, HEALTHY, 1000), PROCESS, ("wms",))
    assert diagnosis.verdict == "localised"
    assert diagnosis.cause is not None
    assert diagnosis.cause.service == "inventory"
    first = diagnosis.suspects[0]
    assert (first.evidence.affected.k, first.evidence.affected.n) == (37, 37)
    assert (first.evidence.healthy.k, first.evidence.healthy.n) == (0, 60)
    assert "deduct_conflict" in first.evidence.what["en"]
    assert 1 <= len(first.evidence.examples) <= 2
    assert diagnosis.cleared[0].service == "wms"
    assert "received 0 of 37 affected orders" in note_of(diagnosis, "wms")
    assert "60 healthy orders" in note_of(diagnosis, "wms")
    assert diagnosis.stopped_at == {"reservation": 37}


def test_the_warehouse_is_cleared_without_a_process_too() -> None:
    diagnosis = diagnose(cases(37, RESERVE_FAILED), cases(60, HEALTHY, 1000), suspects=("wms",))
    assert diagnosis.cause is not None
    assert diagnosis.cause.service == "inventory"
    assert "0 of 37" in note_of(diagnosis, "wms", "zh") or "37 个" in note_of(diagnosis, "wms", "zh")


def test_a_warehouse_that_gets_its_orders_and_says_nothing_is_the_suspect() -> None:
    silent = HEALTHY[:3]
    diagnosis = diagnose(cases(30, silent), cases(60, HEALTHY, 1000), PROCESS, ("wms",))
    assert diagnosis.cause is not None
    assert diagnosis.cause.service == "wms"
    assert "wms" not in {c.service for c in diagnosis.cleared}


def test_an_inventory_that_falls_silent_is_the_cause_and_not_the_warehouse_behind_it() -> None:
    diagnosis = diagnose(cases(30, PLACED), cases(60, HEALTHY, 1000), PROCESS, ("wms",))
    assert diagnosis.cause is not None
    assert diagnosis.cause.service == "inventory"
    assert diagnosis.cleared[0].service == "wms"


def test_who_was_not_asked_is_not_the_cause_though_it_is_the_callee() -> None:
    """The finance asks the payment for a refund; it did not, so nothing was paid."""
    process = replace(PROCESS, calls=(("finance", "payment"),))
    inspected: tuple[Told, ...] = (*HEALTHY, (2000, "wms", "return.inspected"))
    refunded = (*inspected, (2100, "finance", "refund.instructed"), (2200, "payment", "refund.paid"))
    diagnosis = diagnose(cases(30, inspected), cases(60, refunded, 1000), process)
    assert diagnosis.cause is not None
    assert diagnosis.cause.service == "finance"
    unpaid = diagnose(cases(30, refunded[:-1]), cases(60, refunded, 1000), process)
    assert unpaid.cause is not None
    assert unpaid.cause.service == "payment"


def test_a_warehouse_that_failed_healthy_orders_as_well_is_not_cleared_for_having_got_none() -> None:
    failing = (*HEALTHY[:4], (30, "wms", "wms.picked!"))
    healthy = cases(30, HEALTHY, 1000) + cases(30, failing, 2000)
    diagnosis = diagnose(cases(37, RESERVE_FAILED), healthy, PROCESS, ("wms",))
    assert "wms" not in {c.service for c in diagnosis.cleared}


def test_healthy_orders_against_healthy_ones_have_no_localised_cause() -> None:
    diagnosis = diagnose(cases(40, HEALTHY), cases(80, HEALTHY, 1000), PROCESS)
    assert diagnosis.verdict == "no_localised_cause"
    assert diagnosis.cause is None
    assert not any(s.above_noise for s in diagnosis.suspects)
    assert {"payment", "inventory", "wms"} <= {c.service for c in diagnosis.cleared}


@pytest.mark.parametrize("healthy", [0, parameters.MIN_HEALTHY - 1])
def test_without_enough_healthy_orders_there_is_no_baseline_but_counts(healthy: int) -> None:
    diagnosis = diagnose(cases(37, RESERVE_FAILED), cases(healthy, HEALTHY, 1000), PROCESS, ("wms",))
    assert diagnosis.verdict == "no_baseline"
    assert (diagnosis.suspects, diagnosis.cleared, diagnosis.cause) == ((), (), None)
    assert diagnosis.stopped_at == {"reservation": 37}
    said = {w.service: (w.action, w.reason, w.count.k, w.count.n) for w in diagnosis.last_words}
    assert said["inventory"] == ("inventory.reserve_failed", "deduct_conflict", 37, 37)


def test_one_affected_order_proves_too_little_to_accuse_anybody() -> None:
    diagnosis = diagnose(cases(1, RESERVE_FAILED), cases(400, HEALTHY, 1000), PROCESS)
    assert diagnosis.cause is None
    assert diagnosis.suspects[0].service == "inventory"


def test_what_the_affected_share_is_named_with_its_lift_behind_the_accused_service() -> None:
    healthy = cases(50, HEALTHY, 1000, promotion="none") + cases(5, HEALTHY, 2000, promotion="618")
    diagnosis = diagnose(cases(40, RESERVE_FAILED, promotion="618"), healthy, PROCESS)
    shared = [s for s in diagnosis.suspects if s.kind == "attribute"]
    assert [(s.service, s.evidence.affected.k, s.evidence.healthy.k) for s in shared] == [
        ("inventory", 40, 5)
    ]
    assert "618" in shared[0].evidence.what["en"]
    assert "about 10 times as often" in shared[0].evidence.what["en"]
    assert diagnosis.cause is not None
    assert diagnosis.cause.service == "inventory"
    assert_in_order(diagnosis)


def assert_in_order(diagnosis: Diagnosis) -> None:
    """Services above the noise, attributes above it, services within it; each by its score."""
    kinds = [(not s.above_noise, s.kind == "attribute") for s in diagnosis.suspects]
    assert kinds == sorted(kinds)
    for kind in set(kinds):
        scores = [s.score for s, other in zip(diagnosis.suspects, kinds, strict=True) if other == kind]
        assert scores == sorted(scores, reverse=True)
    assert (diagnosis.verdict == "localised") == any(s.above_noise for s in diagnosis.suspects)


def skus(count: int, told: Sequence[Told], first: int, values: str) -> list[Case]:
    return [case(first + n, told, sku=values[n % len(values)]) for n in range(count)]


def test_a_shared_attribute_alone_is_localised_leads_and_names_no_cause() -> None:
    diagnosis = diagnose(skus(20, HEALTHY, 0, "A"), skus(60, HEALTHY, 1000, "ABCDE"), PROCESS)
    assert (diagnosis.verdict, diagnosis.cause) == ("localised", None)
    first = diagnosis.suspects[0]
    assert (first.kind, first.above_noise) == ("attribute", True)
    assert first.evidence.what["en"] == 'sku is "A", about 5 times as often as among healthy orders'
    assert len(first.evidence.examples) == 2
    assert_in_order(diagnosis)


def test_attributes_that_are_spread_alike_accuse_nobody() -> None:
    for first in range(0, 5000, 500):
        affected = [case(n, HEALTHY, sku=str(n * 7919 % 5)) for n in range(first, first + 20)]
        healthy = [case(n, HEALTHY, sku=str(n * 7919 % 5)) for n in range(first + 100, first + 160)]
        assert diagnose(affected, healthy, PROCESS).verdict == "no_localised_cause"


def labelled(told: Case, value: str, *services: str) -> Case:
    """Only records of these services carry the warehouse."""
    return Case(
        told.subject,
        tuple(replace(e, labels={"warehouse": value}) if e.service in services else e for e in told.events),
    )


@pytest.mark.parametrize(
    ("services", "process", "named"),
    [
        (("wms",), PROCESS, "wms"),
        (("wms",), None, "wms"),
        (("storefront", "inventory"), PROCESS, "inventory"),  # the callee
        (("payment", "inventory"), PROCESS, "inventory"),  # the later stage
        (("payment", "inventory"), None, "inventory"),  # the first by name
    ],
)
def test_an_attribute_is_filed_under_the_service_that_carries_it(
    services: tuple[str, ...], process: Process | None, named: str
) -> None:
    affected = [labelled(c, "w9", *services) for c in cases(20, HEALTHY)]
    healthy = [labelled(c, f"w{n % 3}", *services) for n, c in enumerate(cases(60, HEALTHY, 1000))]
    diagnosis = diagnose(affected, healthy, process)
    first = diagnosis.suspects[0]
    assert (first.service, first.kind) == (named, "attribute")
    assert first.evidence.what["en"] == 'warehouse is "w9", as it is of no healthy order'
    assert all(f" {named} " in example for example in first.evidence.examples)
    assert named not in {c.service for c in diagnosis.cleared}


def test_an_attribute_is_filed_under_the_service_that_carries_it_for_most() -> None:
    affected = [labelled(c, "w9", "storefront", *["wms"][: n % 2]) for n, c in enumerate(cases(20, HEALTHY))]
    diagnosis = diagnose(affected, cases(60, HEALTHY, 1000), PROCESS)
    assert diagnosis.suspects[0].service == "storefront"


def test_a_slow_service_is_found_by_its_spans_and_not_its_caller() -> None:
    def trace(number: int, slow: int) -> Case:
        begin, millisecond = START + number * NS, 1_000_000
        spans = (
            ("1", "", "shop", 0, 120 + slow),
            ("2", "1", "shop", 5, 100 + slow),
            ("3", "2", "stock", 6, 90 + slow),
        )
        return Case(
            f"t{number}",
            tuple(
                Event(
                    id=f"t{number}-{span}",
                    timestamp=begin + at * millisecond,
                    ingested=begin,
                    kind="span",
                    service=service,
                    span_id=span,
                    parent_id=parent,
                    span_name=f"op {span}",
                    duration=(length + number % 5) * millisecond,
                )
                for span, parent, service, at, length in spans
            ),
        )

    diagnosis = diagnose([trace(n, 400) for n in range(20)], [trace(100 + n, 0) for n in range(40)])
    assert diagnosis.cause is not None
    assert diagnosis.cause.service == "stock"
    assert diagnosis.suspects[0].kind == "latency"


def test_sampling_is_bounded_and_said() -> None:
    affected = cases(parameters.MAX_AFFECTED + 20, RESERVE_FAILED)
    diagnosis = diagnose(affected, cases(60, HEALTHY, 9000), PROCESS)
    assert diagnosis.affected == parameters.MAX_AFFECTED
    assert "500 of 520 affected" in diagnosis.sampled
    assert diagnose(affected[:10], cases(60, HEALTHY, 9000), PROCESS).sampled == ""


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_cases_changes_nothing(random: object) -> None:
    affected, healthy = cases(12, RESERVE_FAILED), cases(20, HEALTHY, 1000)
    expected = diagnose(affected, healthy, PROCESS, ("wms",))
    random.shuffle(affected)  # type: ignore[attr-defined]
    random.shuffle(healthy)  # type: ignore[attr-defined]
    assert diagnose(affected, healthy, PROCESS, ("wms",)) == expected


@given(st.lists(st.text(min_size=1), unique=True), st.integers(1, 20))
def test_a_sample_and_halves_depend_on_the_subjects_alone(subjects: list[str], limit: int) -> None:
    given_cases = [Case(subject, ()) for subject in subjects]
    assert sample(given_cases, limit) == sample(given_cases[::-1], limit)
    one, other = halves(given_cases, "salt")
    assert {c.subject for c in one} | {c.subject for c in other} == set(subjects)
    assert abs(len(one) - len(other)) <= 1


def test_examples_are_at_most_300_characters_on_one_line() -> None:
    told = cases(20, RESERVE_FAILED)
    long = [
        Case(
            c.subject,
            tuple(
                Event(**{f: getattr(e, f) for f in e.__slots__} | {"message": "x\n" * 999}) for e in c.events
            ),
        )
        for c in told
    ]
    for suspect in diagnose(long, cases(30, HEALTHY, 1000)).suspects:
        for example in suspect.evidence.examples:
            assert len(example) <= 300
            assert "\n" not in example


# --- grouping and the command ---------------------------------------------------------------------------


def test_a_record_goes_to_its_order_else_to_the_order_of_its_trace_else_to_its_trace() -> None:
    def event(name: str, order: str = "", trace: str = "") -> Event:
        return Event(id=name, timestamp=1, ingested=1, order_id=order, trace_id=trace)

    events = [
        event("a", "SO-1", "t1"),
        event("b", "", "t1"),
        event("c", "", "t2"),
        event("d"),
        event("a", "SO-1", "t1"),
    ]
    assert {c.subject: [e.id for e in c.events] for c in group(events)} == {"SO-1": ["a", "b"], "t2": ["c"]}


def write(path: Path, told: Sequence[Case]) -> Path:
    path.write_text(
        "".join(json.dumps(e.to_document()) + "\n" for c in told for e in c.events), encoding="utf-8"
    )
    return path


def test_the_command_prints_the_contract(tmp_path: Path) -> None:
    healthy = write(tmp_path / "healthy.jsonl", cases(40, HEALTHY, 1000))
    affected = write(tmp_path / "affected.jsonl", cases(20, RESERVE_FAILED))
    affected.write_text(affected.read_text(encoding="utf-8") + "not json\n{}\n", encoding="utf-8")
    ran = CliRunner().invoke(
        contrast, ["--healthy", str(healthy), "--affected", str(affected), "--format", "json"]
    )
    assert ran.exit_code == 0, ran.output
    printed = json.loads(ran.stdout)
    assert set(printed) == {"verdict", "affected", "healthy", "sampled", "suspects", "cleared"}
    assert printed["verdict"] == "localised"
    first = printed["suspects"][0]
    assert set(first) == {"service", "score", "above_noise", "kind", "evidence"}
    assert (first["service"], first["above_noise"]) == ("inventory", True)
    assert first["evidence"]["affected"] == {"k": 20, "n": 20}
    assert set(first["evidence"]) == {"affected", "healthy", "what", "examples"}
    services = [s["service"] for s in printed["suspects"]]
    assert len(services) == len(set(services))
    assert {"service": "wms", "observations": 40} in printed["cleared"]
    assert "records could not be read" in ran.stderr


def test_the_command_says_what_the_affected_share_where_no_service_stands_out(tmp_path: Path) -> None:
    healthy = write(tmp_path / "healthy.jsonl", skus(60, HEALTHY, 1000, "ABCDE"))
    affected = write(tmp_path / "affected.jsonl", skus(20, HEALTHY, 0, "A"))
    ran = CliRunner().invoke(contrast, ["--healthy", str(healthy), "--affected", str(affected)])
    assert 'no service stands out; what the affected share: sku is "A"' in ran.stdout


def test_the_command_says_no_baseline_for_an_empty_file_and_2_for_a_missing_one(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.jsonl", [])
    affected = write(tmp_path / "affected.jsonl", cases(20, RESERVE_FAILED))
    both = ["--affected", str(affected), "--healthy"]
    assert json.loads(CliRunner().invoke(contrast, [*both, str(empty), "--format", "json"]).stdout) == {
        "verdict": "no_baseline",
        "affected": 20,
        "healthy": 0,
        "sampled": None,
        "suspects": [],
        "cleared": [],
    }
    assert "no baseline" in CliRunner().invoke(contrast, [*both, str(empty)]).stdout
    assert CliRunner().invoke(contrast, [*both, str(tmp_path / "none.jsonl")]).exit_code == 2
