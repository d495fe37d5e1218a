-- What staff have made of a recording afterwards: which stretches of it are shown, and its chapters. Media stays as it is.

ALTER TABLE broadcasts ADD COLUMN edited INTEGER;    -- ticks of media that are shown; empty: all of it
ALTER TABLE broadcasts ADD COLUMN picture_ms INTEGER; -- where its thumbnail was chosen, on the time line of all that was recorded

-- The stretches that are kept, in order; none: all of it.
CREATE TABLE kept (
    broadcast_id TEXT NOT NULL REFERENCES broadcasts (id) ON DELETE CASCADE,
    ordinal      INTEGER NOT NULL,
    start        INTEGER NOT NULL,               -- ticks of running time
    "end"        INTEGER NOT NULL,
    from_ms      INTEGER NOT NULL,               -- the same on the time line of all that was recorded
    to_ms        INTEGER NOT NULL,
    at_ms        INTEGER NOT NULL,               -- where it begins on the time line of what is kept
    PRIMARY KEY (broadcast_id, ordinal)
) STRICT, WITHOUT ROWID;

-- Segments at the edges of what is kept, of which some parts are.
CREATE TABLE kept_parts (
    broadcast_id TEXT NOT NULL REFERENCES broadcasts (id) ON DELETE CASCADE,
    rendition    INTEGER NOT NULL,
    msn          INTEGER NOT NULL,
    first        INTEGER NOT NULL,               -- numbers of parts in the segment, from 0
    last         INTEGER NOT NULL,
    offset       INTEGER NOT NULL,               -- bytes from the segment's beginning
    length       INTEGER NOT NULL,
    start        INTEGER NOT NULL,               -- ticks
    duration     INTEGER NOT NULL,
    independent  INTEGER NOT NULL,
    PRIMARY KEY (broadcast_id, rendition, msn, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE chapters (
    broadcast_id TEXT NOT NULL REFERENCES broadcasts (id) ON DELETE CASCADE,
    at_ms        INTEGER NOT NULL,               -- on the time line of all that was recorded
    title        TEXT NOT NULL,
    PRIMARY KEY (broadcast_id, at_ms)
) STRICT, WITHOUT ROWID;
