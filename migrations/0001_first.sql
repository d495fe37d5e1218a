-- Times are milliseconds since 1970 UTC (`*_at`), media times are 90 kHz ticks of running time.

CREATE TABLE accounts (
    id            TEXT PRIMARY KEY,
    username      TEXT NOT NULL,                 -- as typed
    username_key  TEXT NOT NULL UNIQUE,          -- folded to lower case: two accounts never differ in case alone
    role          TEXT NOT NULL CHECK (role IN ('admin', 'broadcaster', 'viewer')),
    password_hash TEXT NOT NULL,                 -- bcrypt of a peppered pre-hash
    created_at    INTEGER NOT NULL,
    disabled_at   INTEGER
) STRICT;

CREATE TABLE sessions (
    token_hash   BLOB PRIMARY KEY,               -- SHA-256 of the token
    account_id   TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    csrf         TEXT NOT NULL,                  -- token that forms carry
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_account ON sessions (account_id);

-- Browsers that have signed in to an account before: their attempts are counted apart from a stranger's.
CREATE TABLE known_devices (
    token_hash   BLOB PRIMARY KEY,
    account_id   TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    last_seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE stream_keys (
    id         TEXT PRIMARY KEY,
    key_hash   BLOB NOT NULL UNIQUE,             -- SHA-256 of the key
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    label      TEXT NOT NULL,
    auto_live  INTEGER NOT NULL DEFAULT 1 CHECK (auto_live IN (0, 1)),   -- 0: waits in the studio as a source
    audience   TEXT NOT NULL DEFAULT 'public',
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    used_at    INTEGER
) STRICT;

CREATE TABLE broadcasts (
    id            TEXT PRIMARY KEY,
    title         TEXT NOT NULL,
    description   TEXT NOT NULL DEFAULT '',
    tags          TEXT NOT NULL DEFAULT '',      -- one a line
    audience      TEXT NOT NULL CHECK (audience IN ('public', 'pin', 'members', 'staff')),
    pin           TEXT,                          -- six digits that staff tell patients; not a secret among staff
    state         TEXT NOT NULL CHECK (state IN ('scheduled', 'starting', 'live', 'ended', 'failed')),
    failure       TEXT,                          -- why, when failed
    source        TEXT NOT NULL,                 -- the source's id
    source_kind   TEXT NOT NULL CHECK (source_kind IN ('camera', 'rtmp', 'test')),
    account_id    TEXT REFERENCES accounts (id) ON DELETE SET NULL,
    stream_key_id TEXT REFERENCES stream_keys (id) ON DELETE SET NULL,
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    ended_at      INTEGER,
    epoch_us      INTEGER,                       -- wall clock of tick 0, microseconds since 1970: the base of program date time
    duration      INTEGER NOT NULL DEFAULT 0,    -- ticks of media; final when ended
    gaps          INTEGER NOT NULL DEFAULT 0,    -- discontinuities inside
    size          INTEGER NOT NULL DEFAULT 0,    -- bytes of media; final when ended
    hidden        INTEGER NOT NULL DEFAULT 0 CHECK (hidden IN (0, 1)),
    trashed_at    INTEGER,
    thumbnail     BLOB                           -- JPEG
) STRICT;
CREATE INDEX broadcasts_by_time ON broadcasts (created_at DESC, id);

-- Initialisation sections; `number` grows by one with each change of encoding inside a broadcast.
CREATE TABLE inits (
    broadcast_id     TEXT NOT NULL REFERENCES broadcasts (id) ON DELETE CASCADE,
    rendition        INTEGER NOT NULL,
    number           INTEGER NOT NULL,
    bytes            BLOB NOT NULL,
    codecs           TEXT NOT NULL,
    width            INTEGER NOT NULL,
    height           INTEGER NOT NULL,
    frame_rate_milli INTEGER NOT NULL,
    has_audio        INTEGER NOT NULL,
    PRIMARY KEY (broadcast_id, rendition, number)
) STRICT, WITHOUT ROWID;

-- Append-only files; the row is written before the first segment's row and after the file is synced.
CREATE TABLE reels (
    id           TEXT PRIMARY KEY,               -- also the file's name
    broadcast_id TEXT NOT NULL,                  -- no reference: the row outlives its broadcast until the file is gone
    rendition    INTEGER NOT NULL,
    garbage      INTEGER NOT NULL DEFAULT 0 CHECK (garbage IN (0, 1)),   -- marked, then unlinked, then the row goes
    created_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX reels_by_broadcast ON reels (broadcast_id);

CREATE TABLE segments (
    broadcast_id  TEXT NOT NULL REFERENCES broadcasts (id) ON DELETE CASCADE,
    rendition     INTEGER NOT NULL,
    msn           INTEGER NOT NULL,              -- media sequence number, from 0
    reel_id       TEXT NOT NULL REFERENCES reels (id),
    offset        INTEGER NOT NULL,              -- in the reel, bytes
    length        INTEGER NOT NULL,
    start         INTEGER NOT NULL,              -- ticks
    duration      INTEGER NOT NULL,              -- ticks
    init          INTEGER NOT NULL,              -- inits.number
    discontinuity INTEGER NOT NULL,              -- EXT-X-DISCONTINUITY stands before it
    independent   INTEGER NOT NULL,              -- begins with a keyframe
    crc32c        INTEGER NOT NULL,
    PRIMARY KEY (broadcast_id, rendition, msn)
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Who did what. `account` is the name at that time, so that it outlives the account.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    account TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL DEFAULT ''
) STRICT;

-- Search of the library: kept in step by triggers.
CREATE VIRTUAL TABLE library_search USING fts5 (
    title, description, tags, content = 'broadcasts', tokenize = "unicode61 remove_diacritics 2", prefix = '2 3'
);
CREATE TRIGGER broadcasts_search_insert AFTER INSERT ON broadcasts BEGIN
    INSERT INTO library_search (rowid, title, description, tags) VALUES (new.rowid, new.title, new.description, new.tags);
END;
CREATE TRIGGER broadcasts_search_delete AFTER DELETE ON broadcasts BEGIN
    INSERT INTO library_search (library_search, rowid, title, description, tags)
    VALUES ('delete', old.rowid, old.title, old.description, old.tags);
END;
CREATE TRIGGER broadcasts_search_update AFTER UPDATE OF title, description, tags ON broadcasts BEGIN
    INSERT INTO library_search (library_search, rowid, title, description, tags)
    VALUES ('delete', old.rowid, old.title, old.description, old.tags);
    INSERT INTO library_search (rowid, title, description, tags) VALUES (new.rowid, new.title, new.description, new.tags);
END;
