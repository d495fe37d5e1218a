-- Captions of recordings: one track for each language, its cues, and the search of what is said.

CREATE TABLE captions (
    id           INTEGER PRIMARY KEY,
    broadcast_id TEXT NOT NULL REFERENCES broadcasts (id) ON DELETE CASCADE,
    language     TEXT NOT NULL,                  -- BCP 47, in its usual case
    changed_at   INTEGER NOT NULL,
    UNIQUE (broadcast_id, language)
) STRICT;

CREATE TABLE cues (
    id          INTEGER PRIMARY KEY,
    captions_id INTEGER NOT NULL REFERENCES captions (id) ON DELETE CASCADE,
    start_ms    INTEGER NOT NULL,                -- milliseconds since the recording's beginning
    end_ms      INTEGER NOT NULL,
    text        TEXT NOT NULL                    -- plain, in lines
) STRICT;
CREATE INDEX cues_by_captions ON cues (captions_id, start_ms);

-- A cue is never changed, only replaced.
CREATE VIRTUAL TABLE cue_search USING fts5 (
    text, content = 'cues', content_rowid = 'id', tokenize = "unicode61 remove_diacritics 2", prefix = '2 3'
);
CREATE TRIGGER cues_search_insert AFTER INSERT ON cues BEGIN
    INSERT INTO cue_search (rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER cues_search_delete AFTER DELETE ON cues BEGIN
    INSERT INTO cue_search (cue_search, rowid, text) VALUES ('delete', old.id, old.text);
END;
