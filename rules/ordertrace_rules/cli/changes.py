"""A comparison of playbooks as a person reads it."""

from collections.abc import Sequence

from rich.table import Table

from ordertrace_rules.cli.output import output_console
from ordertrace_rules.comparison import Change
from ordertrace_rules.times import NS, format_instant
from ordertrace_rules.vocabulary import Member

SHOWN = 5  # cases and incidents that are named one by one


def print_changes(changes: Sequence[Change]) -> None:
    """Each playbook with its counts in both replays, then what was added, dropped and moved."""
    console = output_console()
    for change in changes:
        table = Table(title=change.playbook, title_justify="left")
        for heading in ("", "incidents", "cases", "orders", "withdrawn"):
            table.add_column(heading)
        for name, fired in (("present", change.present), ("changed", change.changed)):
            counts = (fired.incidents, fired.cases, fired.orders, fired.withdrawn)
            table.add_row(name, *(str(count) for count in counts))
        console.print(table)
        for sign, what, members, incidents in (
            ("+", "added", change.added, change.incidents_added),
            ("-", "dropped", change.dropped, change.incidents_dropped),
        ):
            if members:
                console.print(f"{sign} {len(members)} cases {what}: {_named(members)}", soft_wrap=True)
            if incidents:
                console.print(f"{sign} incidents {what}: {', '.join(incidents[:SHOWN])}", soft_wrap=True)
        if change.moved:
            earlier = sum(after.opened_at < before.opened_at for before, after in change.moved)
            said = f"{earlier} earlier, {len(change.moved) - earlier} later"
            console.print(f"~ {len(change.moved)} cases at another time: {said}", soft_wrap=True)
        if not (change.added or change.dropped or change.moved):
            console.print("  nothing changes")


def _named(members: Sequence[Member]) -> str:
    """The first of them by subject and time."""
    shown = [f"{m.subject} ({format_instant(m.opened_at, unit=NS)})" for m in members[:SHOWN]]
    return ", ".join(shown) + (f" and {len(members) - SHOWN} more" if len(members) > SHOWN else "")
