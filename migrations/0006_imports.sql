-- Recordings that were read in from files.

CREATE TABLE imports (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,                  -- the file's, as it came
    file         TEXT,                           -- its name among what is done or refused; NULL while it waits and once it is gone
    size         INTEGER NOT NULL,               -- bytes
    state        TEXT NOT NULL CHECK (state IN ('waiting', 'working', 'done', 'refused', 'cancelled')),
    reason       TEXT,                           -- a code: why it waits or was refused, or what is missing of what is done
    broadcast_id TEXT REFERENCES broadcasts (id) ON DELETE SET NULL,
    added_at     INTEGER NOT NULL,
    ended_at     INTEGER
) STRICT;
CREATE INDEX imports_by_state ON imports (state);
CREATE INDEX imports_by_broadcast ON imports (broadcast_id);

-- A file is a kind of source, too. Only the check changes, not how rows are stored (sqlite.org/lang_altertable.html, 7).
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, '(''camera'', ''rtmp'', ''test'')', '(''camera'', ''rtmp'', ''test'', ''file'')')
    WHERE type = 'table' AND name = 'broadcasts';
PRAGMA writable_schema = RESET;
