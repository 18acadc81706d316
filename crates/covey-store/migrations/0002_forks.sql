-- Logs of which their authors wrote two histories: the first place that doesn't count any more, and the proof.
CREATE TABLE forks(
    space       INTEGER NOT NULL,
    device      BLOB NOT NULL,
    incarnation INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    evidence    BLOB NOT NULL,
    PRIMARY KEY(space, device, incarnation)
) WITHOUT ROWID;

-- Entries that don't count any more, and are kept for whoever wants to look: as in entries.
CREATE TABLE set_aside(
    id        INTEGER PRIMARY KEY,
    hash      BLOB NOT NULL,
    header    BLOB NOT NULL,
    signature BLOB NOT NULL,
    body      BLOB NOT NULL
);
