"""What a change of playbooks would have meant: two replays of the same records, case by case."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ordertrace_rules.backtest import Backtest
from ordertrace_rules.times import format_instant
from ordertrace_rules.vocabulary import Member

Case = tuple[str, str]
"""Subject and occurrence: what tells a case from the others of its playbook."""


@dataclass(frozen=True, slots=True)
class Fired:
    """How often one playbook spoke in one replay."""

    incidents: int
    cases: int
    orders: int
    withdrawn: int  # cases that were taken back


@dataclass(frozen=True, slots=True)
class Change:
    """One playbook as it is and as it would be. Cases are in order of their opening."""

    playbook: str
    present: Fired
    changed: Fired
    added: tuple[Member, ...]  # said only by the changed one
    dropped: tuple[Member, ...]  # said only by the present one
    moved: tuple[tuple[Member, Member], ...]  # said by both, at another time: (present, changed)
    incidents_added: tuple[str, ...]  # of which no case is in the other replay
    incidents_dropped: tuple[str, ...]


def compare(present: Backtest, changed: Backtest, playbooks: Iterable[str]) -> tuple[Change, ...]:
    """The difference for each playbook, by id."""
    return tuple(
        _change(playbook, _cases(present, playbook), _cases(changed, playbook)) for playbook in playbooks
    )


def comparison_document(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """The comparison as `--format json` prints it."""
    return [
        {
            "playbook": change.playbook,
            "present": _fired_document(change.present),
            "changed": _fired_document(change.changed),
            "incidents_added": list(change.incidents_added),
            "incidents_dropped": list(change.incidents_dropped),
            "added": [_case_document(member) for member in change.added],
            "dropped": [_case_document(member) for member in change.dropped],
            "moved": [
                _case_document(after) | {"opened_at_present": format_instant(before.opened_at)}
                for before, after in change.moved
            ],
        }
        for change in changes
    ]


def _change(playbook: str, present: Mapping[Case, Member], changed: Mapping[Case, Member]) -> Change:
    both = present.keys() & changed.keys()
    moved = [(present[c], changed[c]) for c in both if present[c].opened_at != changed[c].opened_at]
    return Change(
        playbook,
        _fired(present.values()),
        _fired(changed.values()),
        added=_in_order(m for case, m in changed.items() if case not in both),
        dropped=_in_order(m for case, m in present.items() if case not in both),
        moved=tuple(sorted(moved, key=lambda pair: (pair[1].opened_at, pair[1].id))),
        incidents_added=_alone(changed, both),
        incidents_dropped=_alone(present, both),
    )


def _cases(result: Backtest, playbook: str) -> dict[Case, Member]:
    return {
        (member.subject, member.occurrence): member
        for incident, members in result.incidents
        if incident.playbook == playbook
        for member in members
    }


def _fired(members: Iterable[Member]) -> Fired:
    members = list(members)
    return Fired(
        incidents=len({m.incident for m in members}),
        cases=len(members),
        orders=len({order for m in members for order in m.order_ids}),
        withdrawn=sum(m.state == "withdrawn" for m in members),
    )


def _in_order(members: Iterable[Member]) -> tuple[Member, ...]:
    return tuple(sorted(members, key=lambda m: (m.opened_at, m.id)))


def _alone(cases: Mapping[Case, Member], both: Iterable[Case]) -> tuple[str, ...]:
    shared = {cases[case].incident for case in both}
    return tuple(dict.fromkeys(m.incident for m in _in_order(cases.values()) if m.incident not in shared))


def _fired_document(fired: Fired) -> dict[str, int]:
    names = ("incidents", "cases", "orders", "withdrawn")
    return {name: getattr(fired, name) for name in names}


def _case_document(member: Member) -> dict[str, Any]:
    return {
        "subject": member.subject,
        "incident": member.incident,
        "state": member.state,
        "opened_at": format_instant(member.opened_at),
    }
