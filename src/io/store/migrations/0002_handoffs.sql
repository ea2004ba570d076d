-- A row outlives its use until it expires: a token that was used stays used.
CREATE TABLE handoffs (
    -- SHA-256; the token itself is nowhere.
    token    BLOB PRIMARY KEY,
    brand    TEXT NOT NULL,
    code     TEXT NOT NULL,
    customer INTEGER NOT NULL REFERENCES customers (row),
    -- The channel vouches that it is that customer.
    vouched  INTEGER NOT NULL,
    journey  TEXT,
    queue    TEXT,
    expires  INTEGER NOT NULL,
    used     INTEGER,
    UNIQUE (brand, code)
) STRICT, WITHOUT ROWID;
CREATE INDEX handoffs_by_expiry ON handoffs (expires);
