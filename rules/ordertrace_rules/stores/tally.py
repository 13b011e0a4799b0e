"""The members of one incident, counted as they change, so that a recount costs nothing."""

from collections import Counter, defaultdict
from fractions import Fraction
from typing import Any

from ordertrace_rules.stores.protocol import MemberCounts
from ordertrace_rules.stores.sorted_keys import SortedKeys
from ordertrace_rules.vocabulary import Member

_Instants = SortedKeys[tuple[int, str]]


class Tally:
    """Add each member once, discard it exactly as it was added. Amounts are exact fractions until read."""

    def __init__(self) -> None:
        self.ids: SortedKeys[tuple[str]] = SortedKeys()
        self._counts: Counter[str] = Counter()
        self._amounts: defaultdict[str, list[Any]] = defaultdict(lambda: [0, Fraction(0)])
        self._missing: Counter[str] = Counter()
        self._since: _Instants = SortedKeys()
        self._opened: _Instants = SortedKeys()
        self._detected: _Instants = SortedKeys()
        self._resolved: _Instants = SortedKeys()

    def add(self, member: Member) -> None:
        self.ids.add((member.id,))
        for instants, at in self._instants(member):
            instants.add((at, member.id))
        self._count(member, 1)

    def discard(self, member: Member) -> None:
        self.ids.discard((member.id,))
        for instants, at in self._instants(member):
            instants.discard((at, member.id))
        self._count(member, -1)

    def counts(self) -> MemberCounts:
        return MemberCounts(
            open=self._counts["open"],
            resolved=self._counts["resolved"],
            withdrawn=self._counts["withdrawn"],
            open_firm=self._counts["firm"],
            resolved_firm=self._counts["resolved firm"],
            explained=self._counts["explained"],
            since=_instant(self._since.first()),
            opened_at=_instant(self._opened.first()),
            detected_at=_instant(self._detected.first()),
            resolved_at=_instant(self._resolved.last()),
            amounts={c: float(total) for c, (count, total) in sorted(self._amounts.items()) if count},
            assumed=self._counts["assumed"],
            missing=tuple(sorted(service for service, count in self._missing.items() if count)),
        )

    def _instants(self, member: Member) -> list[tuple[_Instants, int]]:
        found: list[tuple[_Instants, int]] = []
        if member.state != "withdrawn":
            found += [(self._since, member.since), (self._opened, member.opened_at)]
            found.append((self._detected, member.detected_at))
        if member.state == "resolved" and member.resolved_at is not None:
            found.append((self._resolved, member.resolved_at))
        return found

    def _count(self, member: Member, sign: int) -> None:
        self._counts[member.state] += sign
        self._counts["resolved firm"] += sign * (member.state == "resolved" and member.certainty == "firm")
        if member.state != "open":
            return
        firm = member.certainty == "firm"
        self._counts["firm"] += sign * firm
        self._counts["assumed"] += sign * (firm and member.assumed)
        self._counts["explained"] += sign * bool(member.explained_by)
        if member.amount is not None:
            held = self._amounts[member.currency]
            held[0] += sign
            held[1] += sign * Fraction(member.amount)
        if not firm:
            for service in set(member.missing):
                self._missing[service] += sign


def _instant(key: tuple[int, str] | None) -> int | None:
    return key[0] if key else None
