-- What a broadcast shows, by which its encoders were set: people, or screen text.
ALTER TABLE broadcasts ADD COLUMN content TEXT NOT NULL DEFAULT 'talk' CHECK (content IN ('talk', 'slides'));
