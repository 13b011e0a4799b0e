"""The shipped and a site's processes and playbooks as one whole."""

from pathlib import Path

import pytest

from ordertrace_rules.catalogue import load_catalogue
from ordertrace_rules.conditions.happened_but_not import HappenedButNot
from ordertrace_rules.conditions.logs_missing import LogsMissing
from ordertrace_rules.errors import ConfigError, Problem
from ordertrace_rules.times import DAY, HOUR, MINUTE

SHIPPED = {
    "callback_lost",
    "captured_twice",
    "carrier_silent",
    "delivered_not_signed",
    "inventory_oversold",
    "label_not_collected",
    "logs_missing",
    "message_unconsumed",
    "order_volume_collapsed",
    "packed_not_collected",
    "paid_not_reserved",
    "payment_failing",
    "payment_not_noticed",
    "picked_not_packed",
    "placed_not_paid",
    "refund_instructed_twice",
    "refund_missing",
    "reserve_failed",
    "reserve_released_without_cancel",
    "reserved_not_received",
    "return_approved_not_received",
    "return_not_approved",
    "return_received_not_inspected",
    "stage_overdue",
    "status_divergence",
}
PLAYBOOK = """\
playbook: {name}
title: {{en: Late, zh: 延误}}
verdict: {{en: late, zh: 延误}}
process: order_fulfilment
severity: warning
stage: picking
when:
  happened: wms.received
  but_not: wms.picked
  within: 4h
depends_on: [{depends_on}]
guide:
  summary: {{en: It is late., zh: 延误了。}}
  steps:
    - do: {{en: Look., zh: 查看。}}
  over_when: {{en: It is there., zh: 已到货。}}
"""
PROCESS = """\
process: {name}
title: {{en: Short, zh: 短}}
stages:
  - id: picking
    title: {{en: Picking, zh: 拣货}}
    starts: wms.received
    ends: wms.picked
ends: wms.picked
emits: {{parcel.weighed: wms}}
"""


def playbook(directory: Path, name: str, depends_on: str = "", old: str = "", new: str = "") -> Path:
    path = directory / f"{name}.yaml"
    path.write_text(PLAYBOOK.format(name=name, depends_on=depends_on).replace(old, new, 1), encoding="utf-8")
    return path


def problems_of(
    process_paths: list[Path], playbook_paths: list[Path], only: tuple[str, ...] = ()
) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load_catalogue(process_paths, playbook_paths, only=only)
    return caught.value.problems


def test_what_is_shipped_is_sound_and_complete() -> None:
    catalogue = load_catalogue()
    assert {p.id for p in catalogue.playbooks} == SHIPPED
    assert set(catalogue.processes) == {"order_fulfilment", "order_return"}
    for each in catalogue.playbooks:
        assert each.guide.steps and each.guide.avoid and each.actions
        assert all(step.owner for step in each.guide.steps)


def test_the_seed_of_the_product_says_what_was_promised() -> None:
    seed = load_catalogue().playbook("paid_not_reserved")
    assert seed is not None
    assert seed.condition == HappenedButNot(("payment.captured",), ("inventory.reserved",), 2 * HOUR)
    assert seed.verdict == {"en": "inventory synchronisation anomaly", "zh": "库存同步异常"}
    assert (seed.severity, seed.suspects) == ("critical", ("wms",))
    steps = " ".join(step.do["en"] for step in seed.guide.steps)
    assert steps.index("Rate limit") < steps.index("manual review queue") < steps.index("SMS")


def test_the_shipped_deadlines_are_those_of_the_stages_that_they_explain() -> None:
    """Else one late order would open `stage_overdue` first and its own playbook later: two guides."""
    catalogue = load_catalogue()
    targets = {s.id: s.target for s in catalogue.processes["order_fulfilment"].stages}
    within = {
        p.id: p.condition.within for p in catalogue.playbooks if isinstance(p.condition, HappenedButNot)
    }
    assert within["placed_not_paid"] == targets["payment"] == 30 * MINUTE
    assert within["paid_not_reserved"] == targets["reservation"] == 2 * HOUR
    assert within["packed_not_collected"] == targets["hand_over"] == targets["collection"] == DAY
    assert within["delivered_not_signed"] == targets["delivery"] == 7 * DAY
    assert within["reserved_not_received"] == targets["warehouse_intake"] == 2 * HOUR
    assert within["picked_not_packed"] == targets["packing"] == 4 * HOUR
    returned = {s.id: s.target for s in catalogue.processes["order_return"].stages}
    assert within["return_not_approved"] == returned["approval"] == DAY
    assert within["return_approved_not_received"] == returned["way_back"] == 14 * DAY
    assert within["return_received_not_inspected"] == returned["inspection"] == 2 * DAY


def test_a_stage_that_is_overdue_is_told_by_no_other_playbook_of_the_same_order() -> None:
    """One cause gives one guide: whoever waits for the end of a stage explains it."""
    catalogue = load_catalogue()
    overdue = catalogue.playbook("stage_overdue")
    assert overdue is not None
    ends = {a for s in catalogue.processes["order_fulfilment"].stages for a in s.ends}
    waiting = {
        p.id
        for p in catalogue.playbooks
        if p.process == overdue.process
        and isinstance(p.condition, HappenedButNot)
        and ends & set(p.condition.but_not)
    }
    assert waiting <= set(overdue.depends_on)


def test_playbooks_stand_after_those_they_depend_on(tmp_path: Path) -> None:
    playbook(tmp_path, "aaa", "bbb")
    playbook(tmp_path, "bbb", "stage_overdue, ccc")
    playbook(tmp_path, "ccc")
    names = [p.id for p in load_catalogue([], [tmp_path]).playbooks]
    for earlier, later in (
        ("bbb", "aaa"),
        ("ccc", "bbb"),
        ("stage_overdue", "bbb"),
        ("paid_not_reserved", "stage_overdue"),
    ):
        assert names.index(earlier) < names.index(later)


def test_a_sites_file_replaces_the_shipped_one_of_the_same_id(tmp_path: Path) -> None:
    path = playbook(tmp_path, "placed_not_paid")
    catalogue = load_catalogue([], [path])
    assert {p.id for p in catalogue.playbooks} == SHIPPED
    replaced = catalogue.playbook("placed_not_paid")
    assert replaced is not None
    assert (replaced.file, replaced.stage) == (str(path), "picking")


def test_only_keeps_what_is_named_and_drops_the_dependencies_that_are_not(tmp_path: Path) -> None:
    kept = load_catalogue(only=["reserve_failed"])
    assert [(p.id, p.depends_on) for p in kept.playbooks] == [("reserve_failed", ())]
    both = load_catalogue(only=["reserve_failed", "paid_not_reserved"])
    assert [(p.id, p.depends_on) for p in both.playbooks] == [
        ("paid_not_reserved", ()),
        ("reserve_failed", ("paid_not_reserved",)),
    ]
    by_path = load_catalogue(only=[str(playbook(tmp_path, "aaa", "paid_not_reserved"))])
    assert [(p.id, p.depends_on) for p in by_path.playbooks] == [("aaa", ())]


def test_without_the_shipped_files_there_is_only_what_the_site_has(tmp_path: Path) -> None:
    process = tmp_path / "short.yaml"
    process.write_text(PROCESS.format(name="order_fulfilment"), encoding="utf-8")
    catalogue = load_catalogue([process], [playbook(tmp_path, "aaa")], shipped=False)
    assert ([*catalogue.processes], [p.id for p in catalogue.playbooks]) == (["order_fulfilment"], ["aaa"])


def test_the_time_scale_divides_all_that_is_shipped() -> None:
    catalogue = load_catalogue(time_scale=3600)
    seed, missing = catalogue.playbook("paid_not_reserved"), catalogue.playbook("logs_missing")
    assert seed is not None and missing is not None
    assert seed.condition.within == 2 * HOUR // 3600
    assert seed.reopen_within == HOUR // 3600
    assert missing.condition == LogsMissing(round(10 * MINUTE / 3600))


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "fix"),
    [
        (
            "stage: picking",
            "stage: piking",
            "stage: piking",
            "has no stage “piking”",
            "did you mean “picking”?",
        ),
        ("stage: picking", "stage: zzz", "stage: zzz", "has no stage “zzz”", "its stages are payment"),
        (
            "process: order_f",
            "process: ordre_f",
            "process: ordre_fulfilment",
            "no process",
            "“order_fulfilment”",
        ),
        (
            "but_not: wms.picked",
            "but_not: wms.piked",
            "  but_not: wms.piked",
            "“wms.piked”",
            "“wms.picked”? Else declare",
        ),
        ("but_not: wms.picked", "but_not: qc.xx", "  but_not: qc.xx", "no vocabulary knows", "under “emits”"),
        (
            "severity:",
            "unless: qc.done\nseverity:",
            "unless: qc.done",
            "no vocabulary knows",
            "under “emits”",
        ),
        ("severity:", "suspects: wns\nseverity:", "suspects: wns", "no service “wns”", "“wms”"),
        (
            "depends_on: []",
            "depends_on: paid_not_reservd",
            "depends_on: paid_not_reservd",
            "no playbook",
            "“paid_not_reserved”",
        ),
        (
            "when:\n  happened: wms.received\n  but_not: wms.picked\n  within: 4h\n",
            "when:\n  not_consumed: stock\n  within: 1h\n",
            "  not_consumed: stock",
            "does not say who consumes “stock”",
            "write “subscriber”",
        ),
        (
            "when:\n  happened: wms.received\n  but_not: wms.picked\n  within: 4h\n",
            "when:\n  status_differs: [storefront, wns]\n  for: 1h\n",
            "  status_differs: [storefront, wns]",
            "no service “wns”",
            "“wms”",
        ),
        (
            "when:\n  happened: wms.received\n  but_not: wms.picked\n  within: 4h\n",
            "when:\n  stage_overdue:\n    - packing\n    - pickng\n",
            "    - pickng",
            "has no stage “pickng”",
            "“picking”",
        ),
    ],
)
def test_each_mistake_between_files_has_its_line_and_a_way_out(
    tmp_path: Path, old: str, new: str, line: str, message: str, fix: str
) -> None:
    path = playbook(tmp_path, "aaa", old=old, new=new)
    (problem,) = problems_of([], [path])
    assert (problem.file, problem.text) == (str(path), line)
    assert path.read_text(encoding="utf-8").splitlines()[problem.line - 1] == line
    assert message in problem.message
    assert fix in problem.fix


def test_a_circle_of_dependencies_is_told_once_in_the_sites_file(tmp_path: Path) -> None:
    path = playbook(tmp_path, "paid_not_reserved", "stage_overdue")
    (problem,) = problems_of([], [path])
    assert problem.file == str(path)
    assert "paid_not_reserved -> stage_overdue -> paid_not_reserved" in problem.message


def test_an_id_declared_by_two_files_of_a_site_is_refused(tmp_path: Path) -> None:
    first, second = playbook(tmp_path, "aaa"), tmp_path / "zzz.yaml"
    second.write_text(first.read_text(encoding="utf-8"), encoding="utf-8")
    (problem,) = problems_of([], [tmp_path])
    assert (problem.file, problem.line) == (str(second), 1)
    assert str(first) in problem.fix


def test_the_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    playbook(tmp_path, "aaa", old="within: 4h", new="within: 4")
    playbook(tmp_path, "bbb", old="stage: picking", new="stage: nowhere")
    (tmp_path / "ccc.yaml").write_text("a: [", encoding="utf-8")
    (tmp_path / "ddd.yaml").write_text("stages: []\n", encoding="utf-8")
    found = {Path(p.file).name for p in problems_of([], [tmp_path], only=("nobody",))}
    assert found == {"aaa.yaml", "bbb.yaml", "ccc.yaml", "ddd.yaml", "nobody"}


def test_an_action_that_a_sites_own_process_declares_is_known(tmp_path: Path) -> None:
    process = tmp_path / "short.yaml"
    process.write_text(PROCESS.format(name="short"), encoding="utf-8")
    path = playbook(tmp_path, "aaa", old="but_not: wms.picked", new="but_not: parcel.weighed")
    catalogue = load_catalogue([process], [path])
    assert catalogue.processes["short"].emitters("parcel.weighed") == ("wms",)


def test_a_shipped_playbook_that_does_not_fit_a_replaced_process_is_left_out(tmp_path: Path) -> None:
    process = tmp_path / "short.yaml"
    process.write_text(PROCESS.format(name="order_fulfilment"), encoding="utf-8")
    catalogue = load_catalogue([process], [playbook(tmp_path, "aaa")])
    names = {p.id for p in catalogue.playbooks}
    assert "paid_not_reserved" not in names
    assert {"aaa", "stage_overdue", "logs_missing"} <= names


def test_a_name_that_nobody_has_is_answered_with_the_nearest() -> None:
    (problem,) = problems_of([], [], only=("paid_not_reservd",))
    assert "did you mean “paid_not_reserved”?" in problem.fix


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    (problem,) = problems_of([tmp_path / "nowhere"], [])
    assert "no such file" in problem.message
