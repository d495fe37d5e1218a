-- What a start needs to make good what the last end left open.

-- Where the broadcast's tick 0 lies on CLOCK_MONOTONIC of that boot, nanoseconds; before the boot when it was resumed.
ALTER TABLE broadcasts ADD COLUMN boot_id TEXT;
ALTER TABLE broadcasts ADD COLUMN base_ns INTEGER;
-- The chosen microphone's source id; none for the one that belongs to the camera.
ALTER TABLE broadcasts ADD COLUMN microphone TEXT;

-- Known once a reel is closed. The hash is BLAKE3 of the whole file.
ALTER TABLE reels ADD COLUMN length INTEGER;
ALTER TABLE reels ADD COLUMN blake3 BLOB;
ALTER TABLE reels ADD COLUMN damaged INTEGER NOT NULL DEFAULT 0 CHECK (damaged IN (0, 1));

-- Shorter than the segment that live viewers saw: listed under a URI of its own.
ALTER TABLE segments ADD COLUMN cut INTEGER NOT NULL DEFAULT 0 CHECK (cut IN (0, 1));
-- The first one after the program ended in mid-broadcast: the numbers missing before it never were media.
ALTER TABLE segments ADD COLUMN resumed INTEGER NOT NULL DEFAULT 0 CHECK (resumed IN (0, 1));

-- Longest part, ticks: what a playlist says must not change when the broadcast goes on.
ALTER TABLE inits ADD COLUMN part_target INTEGER NOT NULL DEFAULT 0;
