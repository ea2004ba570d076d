-- Times are milliseconds since 1970 in UTC.

CREATE TABLE customers (
    row      INTEGER PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE,
    brand    TEXT NOT NULL,
    name     TEXT,
    tier     TEXT,
    language TEXT,
    created  INTEGER NOT NULL,
    -- Found to be the same person as that one, which is never itself somebody else.
    same_as  INTEGER REFERENCES customers (row)
) STRICT;
CREATE INDEX customers_same ON customers (same_as) WHERE same_as IS NOT NULL;

-- Several customers may hold one identifier; at most those who verified it are believed.
CREATE TABLE identifiers (
    customer INTEGER NOT NULL REFERENCES customers (row),
    brand    TEXT NOT NULL,
    kind     TEXT NOT NULL,
    value    TEXT NOT NULL,
    verified INTEGER NOT NULL,
    -- The customer was first known by this and nothing else.
    alone    INTEGER NOT NULL,
    PRIMARY KEY (customer, kind, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX identifiers_by_value ON identifiers (brand, kind, value, verified DESC, alone DESC, customer);

CREATE TABLE journeys (
    row          INTEGER PRIMARY KEY,
    customer     INTEGER NOT NULL REFERENCES customers (row),
    name         TEXT NOT NULL,
    topic        TEXT NOT NULL,
    open         INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,
    outcome      TEXT,
    -- Steps up to here, by time or by arrival, no longer count.
    resolved_at  INTEGER NOT NULL DEFAULT -1,
    resolved_row INTEGER NOT NULL DEFAULT 0,
    UNIQUE (customer, name)
) STRICT;
CREATE INDEX journeys_open ON journeys (customer, last_at DESC) WHERE open = 1;

-- Rows count up in the order of arrival.
CREATE TABLE steps (
    row      INTEGER PRIMARY KEY,
    journey  INTEGER NOT NULL REFERENCES journeys (row),
    key      TEXT NOT NULL,
    id       TEXT NOT NULL,
    digest   BLOB NOT NULL,
    topic    TEXT NOT NULL,
    channel  TEXT NOT NULL,
    step     TEXT NOT NULL,
    label    TEXT,
    ordinal  INTEGER,
    total    INTEGER,
    status   TEXT NOT NULL,
    reason   TEXT,
    data     TEXT,
    at       INTEGER NOT NULL,
    received INTEGER NOT NULL,
    UNIQUE (key, id)
) STRICT;
CREATE INDEX steps_by_journey ON steps (journey, at);

CREATE TABLE contacts (
    id          TEXT PRIMARY KEY,
    brand       TEXT NOT NULL,
    customer    INTEGER REFERENCES customers (row),
    revision    INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('running', 'finished', 'interrupted')),
    started     INTEGER NOT NULL,
    ended       INTEGER,
    agent       TEXT,
    disposition TEXT,
    body        TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX contacts_by_brand ON contacts (brand, id);
CREATE INDEX contacts_by_customer ON contacts (customer, started DESC) WHERE customer IS NOT NULL;
CREATE INDEX contacts_running ON contacts (state) WHERE state = 'running';
