"""What pages read of the SQLite store: columns and single pages of documents."""

from collections.abc import Collection

from ordertrace_rules.aliases import ORDER, order_key
from ordertrace_rules.stores.codec import decode
from ordertrace_rules.stores.database import Row, answering, marks
from ordertrace_rules.stores.paging import incident_page, page_position
from ordertrace_rules.stores.protocol import OrderHit, Page
from ordertrace_rules.stores.search import LAST, SearchKey, find_orders
from ordertrace_rules.stores.sqlite import SqliteStore
from ordertrace_rules.vocabulary import Incident


class SqliteViews:
    """`Views` of a SqliteStore; it shares the store's connections."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._database = store.database

    def incidents(self, *, states: Collection[str] = (), after: str = "", limit: int = 50) -> Page[Incident]:
        among = f"AND state IN ({marks([*states])})" if states else ""
        beyond = "AND (detected_at, id) < (?, ?)" if after else ""
        position = page_position(after) if after else ()
        rows = self._database.rows(
            f"""SELECT document FROM incidents WHERE 1 {among} {beyond}
                ORDER BY detected_at DESC, id DESC LIMIT ?""",
            (*states, *position, limit + 1),
        )
        return incident_page(self._decode(rows), limit)

    def incidents_of(self, subject: str) -> list[Incident]:
        rows = self._database.rows(
            """SELECT document FROM incidents WHERE id IN (SELECT incident FROM members WHERE subject = ?)
               ORDER BY detected_at DESC, id DESC""",
            (subject,),
        )
        return self._decode(rows)

    def orders(self, text: str, limit: int = 20) -> list[OrderHit]:
        with self._database.snapshot():
            return find_orders(text, limit, self, self._store.bindings_from)

    def search_keys(self, text: str, exact: bool, limit: int) -> list[SearchKey]:
        rows = self._database.rows(
            """SELECT value, kind, order_id, journey FROM journey_keys WHERE value BETWEEN ? AND ?
               ORDER BY value, kind, order_id, journey LIMIT ?""",
            (text, text if exact else text + LAST, limit),
        )
        return [SearchKey(*row) for row in rows]

    def alias_keys(self, text: str, exact: bool, limit: int) -> list[str]:
        last = text if exact else text + LAST
        keys = self._database.rows(
            "SELECT DISTINCT value, key FROM bindings WHERE value BETWEEN ? AND ? ORDER BY value, key LIMIT ?",
            (text, last, limit),
        )
        orders = self._database.rows(
            "SELECT DISTINCT target FROM bindings WHERE target BETWEEN ? AND ? ORDER BY target LIMIT ?",
            (order_key(text), order_key(last), limit),
        )
        found = {(key, value) for value, key in keys}
        found |= {(target, target.removeprefix(f"{ORDER}:")) for (target,) in orders}
        return [key for key, _ in sorted(found, key=lambda pair: (pair[1], pair[0]))][:limit]

    def stage_counts(self, process: str) -> dict[str, dict[str, int]]:
        rows = self._database.rows(
            """SELECT current_stage, count(*), min(stage_deadline) FROM journeys
               WHERE process = ? AND ended_at IS NULL AND current_stage <> '' GROUP BY current_stage""",
            (process,),
        )
        return {
            stage: {"count": count} if first is None else {"count": count, "overdue_at": first}
            for stage, count, first in rows
        }

    def version(self) -> str:
        row = self._database.row("SELECT value FROM counters WHERE name = 'shown'")
        return str(row[0]) if row else "0"

    def _decode(self, rows: list[Row]) -> list[Incident]:
        with answering(self._database.path):
            return [decode(Incident, document) for (document,) in rows]
