"""The tables of the SQLite store, made where they are missing, and what earlier versions lack."""

import sqlite3

_SCHEMA = """
CREATE TABLE IF NOT EXISTS alert_signals (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL,
    routed INTEGER NOT NULL DEFAULT 0, document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS alert_signals_unrouted ON alert_signals (position) WHERE routed = 0;
CREATE INDEX IF NOT EXISTS alert_signals_at ON alert_signals (at);
CREATE TABLE IF NOT EXISTS alert_groups (
    id TEXT PRIMARY KEY, version INTEGER NOT NULL, due_at INTEGER, flushed_at INTEGER NOT NULL,
    document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS alert_groups_due ON alert_groups (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS alert_group_incidents (
    incident TEXT NOT NULL, group_id TEXT NOT NULL, PRIMARY KEY (incident, group_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alert_group_incidents_group ON alert_group_incidents (group_id);
CREATE TABLE IF NOT EXISTS alert_deliveries (
    key TEXT PRIMARY KEY, version INTEGER NOT NULL, group_id TEXT NOT NULL, flush INTEGER NOT NULL,
    part INTEGER NOT NULL, target TEXT NOT NULL, created_at INTEGER NOT NULL, state TEXT NOT NULL,
    next_attempt_at INTEGER NOT NULL, claimable_at INTEGER NOT NULL, hold_until INTEGER NOT NULL,
    finished_at INTEGER, rank INTEGER NOT NULL DEFAULT 1, document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS alert_deliveries_hold ON alert_deliveries (target, hold_until)
    WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS alert_deliveries_order ON alert_deliveries (group_id, target, flush, part)
    WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS alert_deliveries_group ON alert_deliveries (group_id);
CREATE INDEX IF NOT EXISTS alert_deliveries_state ON alert_deliveries (state, created_at);
CREATE INDEX IF NOT EXISTS alert_deliveries_created ON alert_deliveries (created_at);
CREATE TABLE IF NOT EXISTS alert_targets (
    name TEXT PRIMARY KEY, version INTEGER NOT NULL, waits_until INTEGER NOT NULL, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS alert_silences (
    id TEXT PRIMARY KEY, ends_at INTEGER NOT NULL, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS alert_attempts (
    position INTEGER PRIMARY KEY, key TEXT NOT NULL, document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS alert_attempts_key ON alert_attempts (key);
"""

_RANKED = """
DROP INDEX IF EXISTS alert_deliveries_pending;
CREATE INDEX IF NOT EXISTS alert_deliveries_ranked
    ON alert_deliveries (target, rank, next_attempt_at, flush, part, key) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS alert_deliveries_told ON alert_deliveries (target, created_at, rank, group_id)
"""


def make_tables(connection: sqlite3.Connection) -> None:
    """In the transaction of the caller."""
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    columns = {row[1] for row in connection.execute("PRAGMA table_info(alert_deliveries)")}
    if "rank" not in columns:
        connection.execute("ALTER TABLE alert_deliveries ADD COLUMN rank INTEGER NOT NULL DEFAULT 1")
    for statement in _RANKED.split(";"):
        connection.execute(statement)
