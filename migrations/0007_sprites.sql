-- Small pictures of a recording on one sheet, for who looks for a place in it. Made again where they are missing.

CREATE TABLE sprites (
    broadcast_id TEXT PRIMARY KEY REFERENCES broadcasts (id) ON DELETE CASCADE,
    jpeg         BLOB NOT NULL,
    vtt          TEXT NOT NULL                   -- which part of the sheet shows which time (WebVTT, media fragments)
) STRICT;
