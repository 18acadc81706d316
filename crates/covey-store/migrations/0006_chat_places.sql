-- A message's number says its place in time, so that a search has the newest first by reading its index backwards. Until now it
-- said which came first. Of several of one moment the others stand behind the first.
CREATE TEMP TABLE chat_numbers(old INTEGER PRIMARY KEY, new INTEGER NOT NULL);
INSERT INTO chat_numbers(old, new)
SELECT key, max(hlc - place) OVER (ORDER BY place) + place
FROM (SELECT key, hlc, row_number() OVER (ORDER BY hlc, id, key) AS place FROM chat_messages);

DROP TRIGGER chat_search_insert;
DROP TRIGGER chat_search_delete;
DROP TRIGGER chat_search_update;

-- By way of numbers that none has, since a new one may be another's old one.
UPDATE chat_messages SET key = -key;
UPDATE chat_messages SET key = (SELECT new FROM chat_numbers WHERE old = -key);
DELETE FROM chat_late WHERE message NOT IN (SELECT old FROM chat_numbers);
UPDATE chat_late SET message = -message;
UPDATE chat_late SET message = (SELECT new FROM chat_numbers WHERE old = -message);
DROP TABLE chat_numbers;

INSERT INTO chat_search(chat_search) VALUES('delete-all');
INSERT INTO chat_search(rowid, place, text)
SELECT key, 's' || space || ' c' || channel, text FROM chat_messages WHERE text <> '' ORDER BY key;

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

-- Up to where whoever may write nothing has read a channel: known to this device alone.
CREATE TABLE chat_read_here(
    channel INTEGER PRIMARY KEY,
    hlc     INTEGER NOT NULL,
    id      TEXT NOT NULL
);
