-- What became of this device's invitations: no entry tells of it. kind and purpose: see tables/pairing.rs.
CREATE TABLE pairing(
    key        INTEGER PRIMARY KEY AUTOINCREMENT,
    space      INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL,
    nameplate  INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    purpose    INTEGER NOT NULL,
    role       INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    device     BLOB -- who gave a code
);

CREATE INDEX pairing_by_space ON pairing(space, key);
