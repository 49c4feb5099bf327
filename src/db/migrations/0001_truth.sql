-- The truth: leaves, the blobs they name, the head, and the state that must become true together with them.

-- Leaf bytes are kept verbatim and never serialised again.
CREATE TABLE leaf (
  idx   INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT;

-- Beside the leaf that came with them, so that they are appended; the views find them by hash.
CREATE TABLE blob (
  idx    INTEGER NOT NULL,
  sha256 BLOB NOT NULL,
  bytes  BLOB NOT NULL,
  PRIMARY KEY (idx, sha256)
) STRICT;

-- One row. It moves by compare-and-swap in the transaction that adds the leaves.
CREATE TABLE head (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  origin   TEXT NOT NULL,
  size     INTEGER NOT NULL,
  root     BLOB NOT NULL,
  frontier BLOB NOT NULL
) STRICT;

-- Signed checkpoints that left the house, by size.
CREATE TABLE checkpoint (
  size INTEGER PRIMARY KEY,
  text TEXT NOT NULL
) STRICT;

-- Full hash tiles: 256 hashes each. A view of the leaves, kept here so that it grows in the same transaction.
CREATE TABLE tile (
  level  INTEGER NOT NULL,
  idx    INTEGER NOT NULL,
  hashes BLOB NOT NULL,
  PRIMARY KEY (level, idx)
) STRICT;

-- The revision is the index of the leaf that changed the record, plus one: it never comes back.
CREATE TABLE record (
  kind     TEXT NOT NULL,
  id       TEXT NOT NULL,
  revision INTEGER NOT NULL,
  json     TEXT NOT NULL,
  PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

-- `opened` is the index of the leaf that opened the session. `json` holds what never changes.
CREATE TABLE session (
  opened         INTEGER PRIMARY KEY,
  id             TEXT NOT NULL UNIQUE,
  state          TEXT NOT NULL CHECK (state IN ('OPEN', 'CLOSED', 'REVOKED')),
  uses_left      INTEGER NOT NULL CHECK (uses_left >= 0),
  policy         TEXT NOT NULL,
  expires_at     INTEGER NOT NULL,
  principal      TEXT NOT NULL,
  project        TEXT NOT NULL,
  grant_name     TEXT NOT NULL,
  identity_token TEXT NOT NULL,
  json           TEXT NOT NULL
) STRICT;
CREATE INDEX session_by_identity_token ON session (identity_token, opened);
CREATE INDEX session_by_principal ON session (principal, opened);
CREATE INDEX session_by_project ON session (project, opened);
CREATE INDEX session_open ON session (expires_at) WHERE state = 'OPEN';

CREATE TABLE session_key (
  key    TEXT NOT NULL,
  opened INTEGER NOT NULL,
  PRIMARY KEY (key, opened)
) STRICT, WITHOUT ROWID;

-- SHA-256 of session tokens.
CREATE TABLE session_token (
  token  BLOB PRIMARY KEY,
  opened INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- In order of arrival; found by id in memory (once.ts).
CREATE TABLE mark (
  seq        INTEGER PRIMARY KEY,
  id         BLOB NOT NULL,
  kind       TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX mark_by_expiry ON mark (expires_at);

CREATE TABLE attempt (
  seq        INTEGER PRIMARY KEY,
  id         BLOB NOT NULL,
  request    TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  answer     BLOB,
  outcome    INTEGER
) STRICT;
CREATE INDEX attempt_by_expiry ON attempt (expires_at);

CREATE TABLE sealed_key (
  key    TEXT NOT NULL,
  number INTEGER NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (key, number)
) STRICT, WITHOUT ROWID;
