-- Numbers of the program that are unsigned 64 bits are stored bit for bit in SQLite's signed ones.
-- AUTOINCREMENT: a key that was given out never means something else later.

CREATE TABLE meta(
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE spaces(
    key  INTEGER PRIMARY KEY AUTOINCREMENT,
    id   BLOB NOT NULL UNIQUE,
    info BLOB NOT NULL
);

CREATE TABLE logs(
    key         INTEGER PRIMARY KEY AUTOINCREMENT,
    space       INTEGER NOT NULL,
    device      BLOB NOT NULL,
    incarnation INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    hash        BLOB NOT NULL,
    hlc         INTEGER NOT NULL,
    UNIQUE(space, device, incarnation)
);

-- id = log << 40 | seq: a log lies in one piece, and appending to it writes next to what was written last.
-- The body comes last, so that the rest is read without it.
CREATE TABLE entries(
    id        INTEGER PRIMARY KEY,
    hash      BLOB NOT NULL,
    header    BLOB NOT NULL,
    signature BLOB NOT NULL,
    body      BLOB NOT NULL
);

-- In the order of its key: that in which the entries were taken in.
CREATE TABLE membership(
    key   INTEGER PRIMARY KEY AUTOINCREMENT,
    space INTEGER NOT NULL,
    hash  BLOB NOT NULL,
    entry INTEGER NOT NULL,
    UNIQUE(space, hash)
);

-- Entries that are stored and not applied yet.
CREATE TABLE held(
    entry    INTEGER PRIMARY KEY,
    reason   INTEGER NOT NULL,
    until_ms INTEGER NOT NULL
);

CREATE TABLE collections(
    key   INTEGER PRIMARY KEY AUTOINCREMENT,
    space INTEGER NOT NULL,
    name  TEXT NOT NULL,
    live  INTEGER NOT NULL DEFAULT 0,
    UNIQUE(space, name)
);

-- A record lies where its newest change put it: the change feed is the table itself, and a bulk import
-- appends whatever its ids are; only the small index on ids is written at random places.
CREATE TABLE records(
    position   INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL,
    id         TEXT NOT NULL,
    doc        BLOB, -- JSONB; NULL while the record is deleted
    state      BLOB NOT NULL
);

CREATE UNIQUE INDEX records_by_id ON records(collection, id);
-- Each collection in the order of its changes: the feed of a space is merged from those of its collections.
CREATE INDEX records_by_change ON records(collection, position);
