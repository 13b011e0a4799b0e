"""A service's own SQLite file."""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path


class Database:
    """Opens a connection for each use. Safe to use from several threads.

    `patience` is how many seconds a writer waits for another one before SQLite says "database is locked".
    """

    def __init__(self, path: Path, schema: str, patience: float = 30.0) -> None:
        self.path = path
        self.patience = patience
        path.parent.mkdir(parents=True, exist_ok=True)
        # Stays open, for the last connection to close would fold the write-ahead log each time.
        self._anchor = self._connect(30.0, check_same_thread=False)
        self._anchor.execute("PRAGMA journal_mode = WAL")
        self._anchor.executescript(schema)

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Hold the write lock: committed as a whole at the end, rolled back if anything is raised.

        Raises sqlite3.OperationalError "database is locked" if the lock is not had within `patience`.
        """
        with closing(self._connect(self.patience)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Read without the write lock."""
        with closing(self._connect(self.patience)) as connection:
            return connection.execute(sql, values).fetchall()

    def close(self) -> None:
        self._anchor.close()

    def _connect(self, patience: float, *, check_same_thread: bool = True) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=patience, isolation_level=None, check_same_thread=check_same_thread
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection
