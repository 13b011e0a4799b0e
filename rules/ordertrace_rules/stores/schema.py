"""The tables of the SQLite store. `STEPS[n]` leads from `user_version` n to n + 1; steps are only ever added."""

APPLICATION_ID = 0x6F727472  # "ortr": tells this file from another program's

_FIRST = (
    # AUTOINCREMENT: the number of a deleted event is never given out again, for cursors point at it.
    """CREATE TABLE events (
        arrival INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, timestamp INTEGER NOT NULL,
        service TEXT NOT NULL, instance TEXT NOT NULL, sequence INTEGER NOT NULL, document TEXT NOT NULL)""",
    "CREATE INDEX events_by_time ON events (timestamp, arrival)",
    """CREATE TABLE event_keys (
        key TEXT NOT NULL, arrival INTEGER NOT NULL, PRIMARY KEY (key, arrival)) WITHOUT ROWID""",
    """CREATE TABLE bindings (
        key TEXT NOT NULL, target TEXT NOT NULL, issuer TEXT NOT NULL, since INTEGER NOT NULL,
        value TEXT NOT NULL, PRIMARY KEY (key, target, issuer)) WITHOUT ROWID""",
    "CREATE INDEX bindings_by_target ON bindings (target)",
    "CREATE INDEX bindings_by_value ON bindings (value, key)",
    """CREATE TABLE emitters (
        action TEXT NOT NULL, service TEXT NOT NULL, PRIMARY KEY (action, service)) WITHOUT ROWID""",
    "CREATE TABLE presences (id TEXT PRIMARY KEY, version INTEGER NOT NULL, document TEXT NOT NULL)",
    """CREATE TABLE journeys (
        id TEXT PRIMARY KEY, version INTEGER NOT NULL, process TEXT NOT NULL, subject TEXT NOT NULL,
        current_stage TEXT NOT NULL, stage_deadline INTEGER, next_deadline INTEGER, last_event_at INTEGER,
        ended_at INTEGER, document TEXT NOT NULL)""",
    "CREATE INDEX journeys_due ON journeys (next_deadline, id) WHERE next_deadline IS NOT NULL",
    """CREATE INDEX journeys_standing ON journeys (process, current_stage, stage_deadline)
        WHERE ended_at IS NULL AND current_stage <> ''""",
    "CREATE INDEX journeys_by_subject ON journeys (subject)",
    "CREATE INDEX journeys_by_time ON journeys (last_event_at)",
    """CREATE TABLE journey_stages (
        journey TEXT NOT NULL, stage TEXT NOT NULL, process TEXT NOT NULL, ended_at INTEGER NOT NULL,
        PRIMARY KEY (journey, stage)) WITHOUT ROWID""",
    "CREATE INDEX journey_stages_by_end ON journey_stages (process, stage, ended_at, journey)",
    """CREATE TABLE journey_keys (
        journey TEXT NOT NULL, value TEXT NOT NULL, kind TEXT NOT NULL, order_id TEXT NOT NULL,
        PRIMARY KEY (journey, value, kind, order_id)) WITHOUT ROWID""",
    "CREATE INDEX journey_keys_by_value ON journey_keys (value, kind, order_id, journey)",
    """CREATE TABLE members (
        id TEXT PRIMARY KEY, version INTEGER NOT NULL, incident TEXT NOT NULL, subject TEXT NOT NULL,
        state TEXT NOT NULL, firm INTEGER NOT NULL, assumed INTEGER NOT NULL, explained INTEGER NOT NULL,
        settled INTEGER NOT NULL, since INTEGER NOT NULL, opened_at INTEGER NOT NULL,
        detected_at INTEGER NOT NULL, resolved_at INTEGER, amount REAL, currency TEXT NOT NULL,
        missing TEXT NOT NULL, document TEXT NOT NULL)""",
    "CREATE INDEX members_by_subject ON members (subject, id)",
    "CREATE INDEX members_by_incident ON members (incident, id, state)",
    "CREATE INDEX members_unsettled ON members (detected_at, id) WHERE settled = 0",
    # Every column that a recount reads, so that it never opens a document.
    """CREATE INDEX members_counted ON members (
        incident, state, firm, assumed, explained, since, opened_at, detected_at, resolved_at, currency, amount)""",
    """CREATE TABLE incidents (
        id TEXT PRIMARY KEY, version INTEGER NOT NULL, playbook TEXT NOT NULL, grp TEXT NOT NULL,
        episode INTEGER NOT NULL, state TEXT NOT NULL, is_open INTEGER NOT NULL, detected_at INTEGER NOT NULL,
        touched_at INTEGER NOT NULL, relay_at INTEGER, document TEXT NOT NULL)""",
    "CREATE INDEX incidents_by_identity ON incidents (playbook, grp, episode)",
    "CREATE INDEX incidents_by_time ON incidents (detected_at, id)",
    "CREATE INDEX incidents_open ON incidents (id) WHERE is_open = 1",
    "CREATE INDEX incidents_to_relay ON incidents (relay_at, id) WHERE relay_at IS NOT NULL",
    """CREATE TABLE kept_aside (
        id TEXT PRIMARY KEY, at INTEGER NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL,
        raw TEXT NOT NULL)""",
    "CREATE INDEX kept_aside_by_time ON kept_aside (at, id)",
    "CREATE INDEX kept_aside_by_reason ON kept_aside (reason)",
    "CREATE TABLE checkpoints (id TEXT PRIMARY KEY, version INTEGER NOT NULL, value TEXT NOT NULL)",
    # `events` counts them; `shown` grows with what pages show, `inner` with the rest; both give out versions.
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO counters VALUES ('events', 0), ('shown', 0), ('inner', 0)",
)

_KNOWN = (
    """CREATE TABLE journey_known (
        journey TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (journey, at)) WITHOUT ROWID""",
    "CREATE INDEX journey_known_by_time ON journey_known (at, journey)",
)

STEPS: tuple[tuple[str, ...], ...] = (_FIRST, _KNOWN)
