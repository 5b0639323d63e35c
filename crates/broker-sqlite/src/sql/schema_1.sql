-- Schema 1. Times are milliseconds since 1970, by the store's clock.
-- States: s scheduled, q queued, r running, w waiting, S succeeded, F failed, C cancelled.

-- What each queue holds; the triggers at the end count, so that no statement can forget to.
CREATE TABLE queues (
  queue TEXT PRIMARY KEY,
  paused INTEGER NOT NULL DEFAULT 0,
  scheduled INTEGER NOT NULL DEFAULT 0,
  queued INTEGER NOT NULL DEFAULT 0,
  running INTEGER NOT NULL DEFAULT 0,
  waiting INTEGER NOT NULL DEFAULT 0,
  succeeded_total INTEGER NOT NULL DEFAULT 0,
  failed_total INTEGER NOT NULL DEFAULT 0,
  cancelled_total INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- One row: the next places at the back and at the front of the line.
CREATE TABLE line (back INTEGER NOT NULL, front INTEGER NOT NULL) STRICT;
INSERT INTO line (back, front) VALUES (1, -1);

-- What claims, sweeps and listings look at. The record is apart (`records`),
-- so that moving a job between states never rewrites its input.
CREATE TABLE jobs (
  row INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  queue TEXT NOT NULL,
  tenant TEXT NOT NULL,
  priority INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('s', 'q', 'r', 'w', 'S', 'F', 'C')),
  -- Order in its lane and in listings; no two jobs of one state share it.
  -- Finished jobs have negative places, so that the newest comes first.
  place INTEGER NOT NULL,
  -- When a scheduled or waiting job is due.
  due_ms INTEGER,
  -- Who runs it, and under which token.
  worker TEXT,
  token TEXT,
  -- The token of the settle that ended the last attempt, to know one that is sent again.
  settled TEXT,
  -- The idempotency key and fingerprint it came with, to know an enqueue that is sent again.
  idempotency TEXT,
  -- When a running job was asked to stop.
  cancel_ms INTEGER,
  -- When a finished job is forgotten.
  gone_ms INTEGER,
  -- Where the running attempt stands, as JSON.
  progress TEXT,
  -- Whether it has rows in `labels`.
  labelled INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs_lane ON jobs (queue, priority, tenant, place) WHERE state = 'q';
CREATE INDEX jobs_due ON jobs (queue, due_ms, id) WHERE due_ms IS NOT NULL;
CREATE INDEX jobs_held ON jobs (queue, worker) WHERE worker IS NOT NULL;
CREATE INDEX jobs_asked ON jobs (cancel_ms) WHERE cancel_ms IS NOT NULL;
CREATE INDEX jobs_gone ON jobs (gone_ms) WHERE gone_ms IS NOT NULL;
CREATE INDEX jobs_state ON jobs (state, place);
CREATE INDEX jobs_queue ON jobs (queue, state, place);

-- A job as `lovage_core::record` writes it, cut before the result.
CREATE TABLE records (
  job INTEGER PRIMARY KEY REFERENCES jobs (row) ON DELETE CASCADE,
  record BLOB NOT NULL,
  result TEXT
) STRICT;

-- Sessions and tags, in listing order.
CREATE TABLE labels (
  label TEXT NOT NULL,
  state TEXT NOT NULL,
  place INTEGER NOT NULL,
  job INTEGER NOT NULL REFERENCES jobs (row) ON DELETE CASCADE,
  PRIMARY KEY (label, state, place, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX labels_job ON labels (job);

-- The queued jobs of one priority and tenant. `vtime` is the lane's virtual
-- time in start-time fair queueing: jobs it was given, all weights being 1.
CREATE TABLE lanes (
  queue TEXT NOT NULL,
  priority INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  vtime INTEGER NOT NULL,
  queued INTEGER NOT NULL,
  PRIMARY KEY (queue, priority, tenant)
) STRICT, WITHOUT ROWID;
CREATE INDEX lanes_ready ON lanes (queue, priority DESC, vtime, tenant) WHERE queued > 0;
CREATE INDEX lanes_idle ON lanes (queue, priority, vtime) WHERE queued = 0;

-- Virtual time of a priority: where the lane that was served last stood then.
CREATE TABLE bands (
  queue TEXT NOT NULL,
  priority INTEGER NOT NULL,
  vtime INTEGER NOT NULL,
  PRIMARY KEY (queue, priority)
) STRICT, WITHOUT ROWID;

-- A worker's lease on a queue; one that was lost stays until its jobs are taken from it.
CREATE TABLE workers (
  queue TEXT NOT NULL,
  worker TEXT NOT NULL,
  deadline_ms INTEGER NOT NULL,
  lost INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (queue, worker)
) STRICT, WITHOUT ROWID;
CREATE INDEX workers_deadline ON workers (deadline_ms) WHERE lost = 0;
CREATE INDEX workers_lost ON workers (queue, worker) WHERE lost = 1;

-- Unique keys (scope u) and idempotency keys (scope i); without `until_ms`
-- a key is held until its job is final.
CREATE TABLE keys (
  queue TEXT NOT NULL,
  tenant TEXT NOT NULL,
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  job BLOB NOT NULL,
  fingerprint TEXT,
  until_ms INTEGER,
  PRIMARY KEY (queue, tenant, scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_until ON keys (until_ms) WHERE until_ms IS NOT NULL;

CREATE TABLE checkpoints (
  row INTEGER PRIMARY KEY,
  job INTEGER NOT NULL REFERENCES jobs (row) ON DELETE CASCADE,
  step TEXT NOT NULL,
  occurrence INTEGER NOT NULL,
  fingerprint TEXT NOT NULL,
  value TEXT NOT NULL,
  UNIQUE (job, step, occurrence)
) STRICT;

CREATE TABLE events (
  job INTEGER NOT NULL REFERENCES jobs (row) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  step TEXT,
  data TEXT NOT NULL,
  PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER jobs_in AFTER INSERT ON jobs BEGIN
  UPDATE queues SET
    scheduled = scheduled + (new.state = 's'),
    queued = queued + (new.state = 'q')
  WHERE queue = new.queue;
END;
CREATE TRIGGER jobs_over AFTER UPDATE OF state ON jobs BEGIN
  UPDATE queues SET
    scheduled = scheduled - (old.state = 's') + (new.state = 's'),
    queued = queued - (old.state = 'q') + (new.state = 'q'),
    running = running - (old.state = 'r') + (new.state = 'r'),
    waiting = waiting - (old.state = 'w') + (new.state = 'w'),
    succeeded_total = succeeded_total + (new.state = 'S'),
    failed_total = failed_total + (new.state = 'F'),
    cancelled_total = cancelled_total + (new.state = 'C')
  WHERE queue = new.queue;
END;
CREATE TRIGGER jobs_out AFTER DELETE ON jobs WHEN old.state IN ('s', 'q', 'r', 'w') BEGIN
  UPDATE queues SET
    scheduled = scheduled - (old.state = 's'),
    queued = queued - (old.state = 'q'),
    running = running - (old.state = 'r'),
    waiting = waiting - (old.state = 'w')
  WHERE queue = old.queue;
END;
CREATE TRIGGER jobs_relabel AFTER UPDATE OF state, place ON jobs WHEN new.labelled BEGIN
  UPDATE labels SET state = new.state, place = new.place WHERE job = new.row;
END;
