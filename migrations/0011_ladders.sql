-- Smaller pictures of recordings that had one rendition alone, made of it afterwards.

CREATE TABLE ladders (
    broadcast_id TEXT PRIMARY KEY REFERENCES broadcasts (id) ON DELETE CASCADE,
    state        TEXT NOT NULL CHECK (state IN ('working', 'done', 'failed', 'cancelled')),
    rungs        TEXT NOT NULL,                  -- JSON: sizes and bit rates of renditions 1, 2 …; none where only files tell of them
    reason       TEXT                            -- a code: why it failed
) STRICT;
