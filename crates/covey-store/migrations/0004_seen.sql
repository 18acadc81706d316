-- Of a read mark up to which time its device had each author's messages: what came later was not read with the others.
ALTER TABLE chat_marks ADD COLUMN seen BLOB NOT NULL DEFAULT x'';
