"""The happened/but_not rules against an evaluator that tries every minute, on 10,000 random timelines.

The oracle shares nothing with the rules: it knows no journey, no position and no deadline. It keeps what is true in
each minute in a list, and reads the answer off that list.
"""

import random

from ordertrace_rules.completeness import Completeness, CompletenessRules, Judgement
from ordertrace_rules.conditions.happened_but_not import HappenedButNot
from ordertrace_rules.conditions.not_all import NotAll
from ordertrace_rules.event import Event
from ordertrace_rules.journey import fold
from ordertrace_rules.judgement import judge
from ordertrace_rules.times import MINUTE
from ordertrace_rules.vocabulary import Playbook, Process, Stage

TIMELINES = 10_000
HORIZON = 40
START = 1_772_000_000 * 10**9
PROCESS = Process("way", 1, "order", {}, (Stage("leg", {}, ("a",), ("b",)),), ends=("end",))
COMPLETE = CompletenessRules(default=Judgement("file"))
Script = list[tuple[int, str, str, str]]  # minute, action, outcome, label


def script(chance: random.Random) -> Script:
    """A few records on a coarse grid, so that they meet deadlines and each other."""
    actions = ["a", "a", "a2", "b", "b", "b2", "end", "sorry", "x"]
    return [
        (
            chance.randrange(0, 25),
            chance.choice(actions),
            chance.choice(["success", "unknown", "unknown", "failure"]),
            chance.choice(["", "", "web", "app"]),
        )
        for _ in range(chance.randrange(0, 9))
    ]


def verdict(told: Script, within: int, now: int, *, of_both: bool) -> tuple[str, int, int | None] | None:
    """What holds at `now`: (state, opened, resolved), minute by minute."""
    told = [(m, a) for m, a, outcome, _ in told if not (outcome == "failure" and a in ("a", "b", "end"))]
    started = next((m for m in range(HORIZON) if any(at == m and a in ("a", "a2") for at, a in told)), None)
    if started is None:
        return None
    over: list[bool] = []
    for minute in range(HORIZON + within):
        seen = {a for at, a in told if at <= minute}
        answered = {"b", "b2"} <= seen if of_both else bool({"b", "b2"} & seen)
        over.append(answered or "end" in seen or "sorry" in seen)
    deadline = started + within
    if over[deadline] or now < deadline:
        return None
    resolved = over.index(True) if True in over else None
    return ("open" if resolved is None else "resolved", deadline, resolved)


def judged(told: Script, playbook: Playbook, now: int) -> tuple[str, int, int | None] | None:
    """The same through the product: fold, condition, membership."""
    events = [
        Event(
            id=f"e{number}",
            timestamp=START + minute * MINUTE,
            ingested=START,
            service="shop",
            action=action,
            outcome=outcome,
            order_id="SO-1",
            labels={"channel": label} if label else {},
        )
        for number, (minute, action, outcome, label) in enumerate(told)
    ]
    folded = fold(PROCESS, "SO-1", ["SO-1"], events)
    known = Completeness(COMPLETE, (), START + now * MINUTE)
    verdicts = judge(folded, PROCESS, [playbook], {}, known, lambda action: ())
    assert verdicts.problems == ()
    if not verdicts.changed:
        return None
    (member,) = verdicts.changed
    resolved = None if member.resolved_at is None else (member.resolved_at - START) // MINUTE
    return (member.state, (member.opened_at - START) // MINUTE, resolved)


def test_the_rules_agree_with_the_oracle_on_ten_thousand_timelines() -> None:
    chance = random.Random(20260301)
    kinds = {None: 0, "open": 0, "resolved": 0}
    for number in range(TIMELINES):
        told, within, now = script(chance), chance.randrange(1, 13), chance.randrange(0, HORIZON)
        of_both, filtered = number % 2 == 1, number % 3 == 0
        rule = NotAll if of_both else HappenedButNot
        playbook = Playbook(
            "p", 1, {}, {}, "way", "info", rule(("a", "a2"), ("b", "b2"), within * MINUTE),
            unless=("sorry",), where={"channel": ("web",)} if filtered else {},
        )  # fmt: skip
        wanted = verdict(told, within, now, of_both=of_both)
        labels = [label for *_, label in sorted(told, key=lambda record: record[0]) if label]
        if filtered and not (_last_label_is_sure(told) and labels and labels[-1] == "web"):
            if _last_label_is_sure(told):
                assert judged(told, playbook, now) is None, (told, within, now)
            continue
        assert judged(told, playbook, now) == wanted, (told, within, now, of_both)
        kinds[wanted[0] if wanted else None] += 1
    assert min(kinds.values()) > 400  # each answer was put to the test


def _last_label_is_sure(told: Script) -> bool:
    """Whether no two records of one minute give different labels: which is the last then is not the oracle's to say."""
    latest = max((m for m, *_, label in told if label), default=None)
    return len({label for m, *_, label in told if label and m == latest}) <= 1
