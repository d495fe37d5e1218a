-- A reel's row goes only when no segment's row names it: without an index each deletion looks at every segment there is.
CREATE INDEX segments_by_reel ON segments (reel_id);
