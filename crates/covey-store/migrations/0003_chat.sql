-- What chat's records come to, for reading: made of the records, and can be made again.

-- A channel of a space, by a number.
CREATE TABLE chat_channels(
    key   INTEGER PRIMARY KEY AUTOINCREMENT,
    space INTEGER NOT NULL,
    id    TEXT NOT NULL,
    UNIQUE(space, id)
);

-- Messages as they are shown. The order of a channel is that of (hlc, id); the key is the order in which they came.
CREATE TABLE chat_messages(
    key      INTEGER PRIMARY KEY AUTOINCREMENT,
    space    INTEGER NOT NULL,
    channel  INTEGER NOT NULL,
    hlc      INTEGER NOT NULL,
    id       TEXT NOT NULL,
    device   BLOB NOT NULL,
    user     BLOB NOT NULL,
    edited   INTEGER NOT NULL,
    deleted  INTEGER NOT NULL,
    reply_to TEXT,
    root     TEXT,
    mentions BLOB NOT NULL, -- 32 bytes for each user
    text     TEXT NOT NULL
);

CREATE UNIQUE INDEX chat_messages_by_id ON chat_messages(space, id);
CREATE INDEX chat_messages_in_order ON chat_messages(channel, hlc, id);
CREATE INDEX chat_messages_by_thread ON chat_messages(space, root, hlc, id) WHERE root IS NOT NULL;

-- Which records say something of a message: it may come after them.
CREATE TABLE chat_edits(
    space   INTEGER NOT NULL,
    message TEXT NOT NULL,
    id      TEXT NOT NULL,
    PRIMARY KEY(space, message, id)
) WITHOUT ROWID;

CREATE TABLE chat_reactions(
    space   INTEGER NOT NULL,
    message TEXT NOT NULL,
    device  BLOB NOT NULL,
    emoji   TEXT NOT NULL,
    user    BLOB NOT NULL,
    hlc     INTEGER NOT NULL,
    present INTEGER NOT NULL,
    PRIMARY KEY(space, message, device, emoji)
) WITHOUT ROWID;

-- How far the devices of each user have read.
CREATE TABLE chat_marks(
    channel  INTEGER NOT NULL,
    device   BLOB NOT NULL,
    user     BLOB NOT NULL,
    written  INTEGER NOT NULL,
    hlc      INTEGER NOT NULL,
    id       TEXT NOT NULL,
    PRIMARY KEY(channel, device)
) WITHOUT ROWID;

-- Messages that came behind the place up to which this device had read: they are unread all the same.
CREATE TABLE chat_late(
    message INTEGER PRIMARY KEY,
    channel INTEGER NOT NULL
);
CREATE INDEX chat_late_by_channel ON chat_late(channel);

-- What the author of a field was when they wrote it, where that decides whether it counts.
CREATE TABLE chat_roles(
    space      INTEGER NOT NULL,
    collection TEXT NOT NULL,
    id         TEXT NOT NULL,
    hlc        INTEGER NOT NULL,
    field      TEXT NOT NULL,
    value      TEXT NOT NULL,
    admin      INTEGER NOT NULL,
    PRIMARY KEY(space, collection, id, hlc, field)
) WITHOUT ROWID;

-- What was typed and not sent; of this device alone.
CREATE TABLE chat_drafts(
    space   INTEGER NOT NULL,
    channel TEXT NOT NULL,
    text    TEXT NOT NULL,
    PRIMARY KEY(space, channel)
) WITHOUT ROWID;

-- `place` holds a word for the space and one for the channel, so that a search within one looks at nothing else.
CREATE VIEW chat_searched AS SELECT key, 's' || space || ' c' || channel AS place, text FROM chat_messages;

CREATE VIRTUAL TABLE chat_search USING fts5(
    place, text,
    content = 'chat_searched', content_rowid = 'key',
    tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);

CREATE TRIGGER chat_search_insert AFTER INSERT ON chat_messages WHEN new.text <> '' BEGIN
    INSERT INTO chat_search(rowid, place, text)
    VALUES(new.key, 's' || new.space || ' c' || new.channel, new.text);
END;

CREATE TRIGGER chat_search_delete AFTER DELETE ON chat_messages WHEN old.text <> '' BEGIN
    INSERT INTO chat_search(chat_search, rowid, place, text)
    VALUES('delete', old.key, 's' || old.space || ' c' || old.channel, old.text);
END;

-- One trigger for both: the old words go before the new ones come.
CREATE TRIGGER chat_search_update AFTER UPDATE OF text, channel ON chat_messages BEGIN
    INSERT INTO chat_search(chat_search, rowid, place, text)
    SELECT 'delete', old.key, 's' || old.space || ' c' || old.channel, old.text WHERE old.text <> '';
    INSERT INTO chat_search(rowid, place, text)
    SELECT new.key, 's' || new.space || ' c' || new.channel, new.text WHERE new.text <> '';
END;
