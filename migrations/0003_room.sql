-- What retention goes by, and sessions that hold by the monotonic clock.

-- Never deleted by siaran itself.
ALTER TABLE broadcasts ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1));
-- 0: it went on air without room to record it.
ALTER TABLE broadcasts ADD COLUMN recorded INTEGER NOT NULL DEFAULT 1 CHECK (recorded IN (0, 1));
-- From when its age counts, in the library or in the trash; NULL until the clock can be trusted.
ALTER TABLE broadcasts ADD COLUMN aged_from INTEGER;
UPDATE broadcasts SET aged_from = coalesce(trashed_at, ended_at) WHERE state IN ('ended', 'failed');

-- Within the boot that wrote them these two count, by the monotonic clock; after it, the wall times.
ALTER TABLE sessions ADD COLUMN boot TEXT;
ALTER TABLE sessions ADD COLUMN seen_ms INTEGER NOT NULL DEFAULT 0;   -- milliseconds since that boot
ALTER TABLE sessions ADD COLUMN ends_ms INTEGER NOT NULL DEFAULT 0;
