"""One SQLite file in WAL mode: a connection a thread, one writer at a time, and errors that say what to do."""

import sqlite3
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, Thread, current_thread, local
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, finalize

from ordertrace_rules.errors import StoreUnavailable
from ordertrace_rules.stores.codec import DocumentError
from ordertrace_rules.stores.schema import APPLICATION_ID, STEPS

Row = tuple[Any, ...]
BUSY_SECONDS = 10.0
MAX_WHOLE = (1 << 63) - 1
WRITES_IN_A_ROW = 100  # a batch gives way to other writers after so many

_WAY_OUT = {
    "SQLITE_BUSY": "another program holds its lock: end that program, or wait until it is done",
    "SQLITE_LOCKED": "another program holds its lock: end that program, or wait until it is done",
    "SQLITE_FULL": "the disk is full: free some space, or delete old events with `ordertrace store expire`",
    "SQLITE_READONLY": "it cannot be written: check the permissions of the file and of its directory",
    "SQLITE_CANTOPEN": "it cannot be opened: check that its directory exists and may be written",
    "SQLITE_IOERR": "the disk does not read or write: check the disk and its free space",
    "SQLITE_CORRUPT": "the file is damaged: restore a backup with `ordertrace store restore FILE --force`",
    "SQLITE_NOTADB": "the file is no SQLite database: set another path, or restore a backup with "
    "`ordertrace store restore FILE --force`",
}


@contextmanager
def answering(path: Path) -> Generator[None]:
    """Turn what SQLite says into a StoreUnavailable that names the file and the way out."""
    try:
        yield
    except sqlite3.Error as error:
        name = str(getattr(error, "sqlite_errorname", ""))
        way_out = next((text for code, text in _WAY_OUT.items() if name.startswith(code)), "")
        raise StoreUnavailable(f"the store {path} does not answer: {way_out or error} ({error})") from error
    except DocumentError as error:
        raise StoreUnavailable(
            f"the store {path} holds a document that cannot be read: {error}; "
            "restore a backup with `ordertrace store restore FILE --force`"
        ) from error


class Database:
    """Reads run beside each other; writes take turns, in this process by a lock and between processes by SQLite.

    Every commit is synced to disk (`synchronous=FULL`): what returned is durable.
    """

    def __init__(self, path: Path, busy_seconds: float = BUSY_SECONDS, max_pages: int | None = None) -> None:
        self.path = path
        self._busy_seconds = busy_seconds
        self._max_pages = max_pages
        self._connections: WeakKeyDictionary[Thread, _Held] = WeakKeyDictionary()
        self._connections_lock = Lock()
        self._writer = Lock()
        self._batch = _Batch()
        self._closed = False
        with answering(path):
            self._prepare()

    # reading ------------------------------------------------------------------------------------------
    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """All rows of a query. Raises StoreUnavailable, never returns a part."""
        with answering(self.path):
            return execute(self.connection(), sql, parameters).fetchall()

    def row(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        with answering(self.path):
            return execute(self.connection(), sql, parameters).fetchone()

    @contextmanager
    def snapshot(self) -> Generator[None]:
        """Within it all reads of this thread see one state."""
        connection = self.connection()
        if connection.in_transaction:
            yield
            return
        with answering(self.path):
            connection.execute("BEGIN")
        try:
            yield
        finally:
            connection.rollback()

    # writing ------------------------------------------------------------------------------------------
    @contextmanager
    def writing(self, *, durable: bool = False) -> Generator[sqlite3.Connection]:
        """One write: whole or not at all. Inside a batch it joins the batch's transaction, and `durable` ends
        that transaction with it.
        """
        connection = self.connection()
        if not self._batch.depth:
            with self._turn(), answering(self.path), _transaction(connection):
                yield connection
            return
        with answering(self.path):
            self._join(connection)
            with _savepoint(connection):
                yield connection
            self._batch.writes += 1
            if durable or self._batch.writes >= WRITES_IN_A_ROW:
                self._commit_batch(connection)

    @contextmanager
    def batch(self) -> Generator[None]:
        """Group this thread's writes into few transactions; see `Store.batch`."""
        self._batch.depth += 1
        try:
            yield
        finally:
            self._batch.depth -= 1
            if not self._batch.depth:
                try:
                    with answering(self.path):
                        self._commit_batch(self.connection())
                finally:
                    self._batch.broken = False

    def _join(self, connection: sqlite3.Connection) -> None:
        batch = self._batch
        if batch.holds_turn and not connection.in_transaction:
            # SQLite gave the transaction up, on a full disk for one: the earlier writes are gone, so must
            # the later ones be.
            batch.broken = True
        if batch.broken:
            raise StoreUnavailable(f"an earlier write of this batch to {self.path} failed: repeat the batch")
        if not batch.holds_turn:
            self._take_turn()
            batch.holds_turn = True
            try:
                connection.execute("BEGIN IMMEDIATE")
            except BaseException:
                self._give_turn()
                raise

    def _commit_batch(self, connection: sqlite3.Connection) -> None:
        """Commit and let others write. A failure is the whole group's, and breaks what is left of the batch."""
        batch = self._batch
        if not batch.holds_turn:
            return
        lost = not connection.in_transaction
        try:
            if not lost:
                connection.execute("COMMIT")
        except BaseException:
            batch.broken = True
            connection.rollback()
            raise
        finally:
            self._give_turn()
        if lost:
            batch.broken = True
            raise StoreUnavailable(f"writes of a batch to {self.path} failed together: repeat the batch")

    def _give_turn(self) -> None:
        self._batch.holds_turn = False
        self._batch.writes = 0
        self._writer.release()

    def _take_turn(self) -> None:
        if not self._writer.acquire(timeout=self._busy_seconds):
            raise StoreUnavailable(
                f"the store {self.path} is busy: another thread has been writing for {self._busy_seconds:g} s"
            )

    @contextmanager
    def _turn(self) -> Generator[None]:
        self._take_turn()
        try:
            yield
        finally:
            self._writer.release()

    # connections --------------------------------------------------------------------------------------
    def connection(self) -> sqlite3.Connection:
        """This thread's connection; it closes when the thread is gone."""
        if self._closed:
            raise StoreUnavailable(f"the store {self.path} is closed")
        thread = current_thread()
        held = self._connections.get(thread)
        if held is None:
            with answering(self.path):
                connection = self._connect()
            held = _Held(connection, finalize(thread, connection.close))
            with self._connections_lock:
                self._connections[thread] = held
        return held.connection

    def open_connections(self) -> int:
        return len(self._connections)

    def close(self) -> None:
        """Close every connection. Reads and writes after this raise StoreUnavailable."""
        with self._turn(), self._connections_lock:
            self._closed = True
            for held in self._connections.values():
                held.close()
            self._connections.clear()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-16384")
        if self._max_pages is not None:
            connection.execute(f"PRAGMA max_page_count={self._max_pages:d}")
        return connection

    def _prepare(self) -> None:
        connection = self.connection()
        refuse_foreign(connection, self.path)
        execute(connection, "PRAGMA journal_mode=WAL")
        if _pragma(connection, "user_version") < len(STEPS):
            with _transaction(connection):
                self._upgrade(connection)

    def _upgrade(self, connection: sqlite3.Connection) -> None:
        """Run the steps that this file lacks; another process may have run them a moment ago."""
        for step in STEPS[_pragma(connection, "user_version") :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={len(STEPS)}")


class _Held(NamedTuple):
    """A thread's connection, and what closes it: the store's end or the thread's."""

    connection: sqlite3.Connection
    close: "finalize[[], Thread]"


class _Batch(local):
    """What this thread has open."""

    depth: int = 0
    writes: int = 0
    holds_turn: bool = False
    broken: bool = False


def refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreUnavailable for a file of another program, or of a newer ordertrace."""
    version = _pragma(connection, "user_version")
    tables = execute(connection, "SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and _pragma(connection, "application_id") != APPLICATION_ID:
        raise StoreUnavailable(f"{path} is a database of another program: choose another path for the store")
    if version > len(STEPS):
        raise StoreUnavailable(
            f"{path} was written by a newer ordertrace (its schema is {version}, this program knows "
            f"{len(STEPS)}): upgrade ordertrace, or choose another path"
        )


def execute(connection: sqlite3.Connection, sql: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
    """Execute one statement. Lone surrogates, which UTF-8 cannot carry, count as `?` in columns."""
    try:
        return connection.execute(sql, parameters)
    except UnicodeEncodeError:
        return connection.execute(sql, [plain(p) if isinstance(p, str) else p for p in parameters])


def plain(text: str) -> str:
    """The text as a column can hold it."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def whole(number: int | None) -> int | None:
    """The number as a column can hold it; the document keeps it exactly."""
    return number if number is None else max(-MAX_WHOLE, min(number, MAX_WHOLE))


def chunks(values: Iterable[str], size: int = 500) -> Iterator[list[str]]:
    """The distinct values, in pieces well under the number of variables that SQLite takes."""
    distinct = list(dict.fromkeys(values))
    for start in range(0, len(distinct), size):
        yield distinct[start : start + size]


def marks(values: Sequence[object]) -> str:
    """`?,?,?` for a list of variables."""
    return ",".join("?" * len(values))


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return execute(connection, f"PRAGMA {name}").fetchone()[0]


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


@contextmanager
def _savepoint(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("SAVEPOINT one_write")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK TO one_write")
            connection.execute("RELEASE one_write")
        raise
    connection.execute("RELEASE one_write")
