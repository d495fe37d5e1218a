-- That a broadcast is on air, where rows of its media do not say so: it is not recorded, or its recording is paused.

CREATE TABLE on_air (
    broadcast_id    TEXT PRIMARY KEY REFERENCES broadcasts (id) ON DELETE CASCADE,
    at              INTEGER NOT NULL,  -- when this was written, ticks on the broadcast's own timeline
    next_msn        INTEGER NOT NULL,  -- players had been told of no later segment than this
    discontinuities INTEGER NOT NULL   -- EXT-X-DISCONTINUITY tags so far
) STRICT, WITHOUT ROWID;
