-- Schema 2: limits and weights of queues, children, what a waiting job waits
-- for, and when a job that was not started ends.

-- A limit that is null is none. `next_us` is when the rate expects the queue's
-- next job, in microseconds since 1970.
ALTER TABLE queues ADD COLUMN length INTEGER;
ALTER TABLE queues ADD COLUMN concurrency INTEGER;
ALTER TABLE queues ADD COLUMN rate_jobs INTEGER;
ALTER TABLE queues ADD COLUMN rate_per_ms INTEGER;
ALTER TABLE queues ADD COLUMN rate_burst INTEGER;
ALTER TABLE queues ADD COLUMN next_us INTEGER NOT NULL DEFAULT 0;

-- Tenants whose share of a queue is not the default.
CREATE TABLE weights (
  queue TEXT NOT NULL,
  tenant TEXT NOT NULL,
  weight INTEGER NOT NULL,
  PRIMARY KEY (queue, tenant)
) STRICT, WITHOUT ROWID;

-- A job moved its lane by 1; now it moves it by `lovage_core::queue::Weight::step`.
UPDATE lanes SET vtime = vtime * 10000;
UPDATE bands SET vtime = vtime * 10000;

-- Moves with every ping, which is to write something.
ALTER TABLE line ADD COLUMN touched INTEGER NOT NULL DEFAULT 0;

-- When a job that was not started ends; filled for older jobs by the program.
ALTER TABLE jobs ADD COLUMN expires_ms INTEGER;
-- The signal or the children it waits for, as JSON.
ALTER TABLE jobs ADD COLUMN waits TEXT;
-- Whether it stands in `children` as a child.
ALTER TABLE jobs ADD COLUMN child INTEGER NOT NULL DEFAULT 0;
-- What a worker is to stop, however much it holds.
CREATE INDEX jobs_asked_of ON jobs (queue, worker) WHERE cancel_ms IS NOT NULL;
CREATE INDEX jobs_expires ON jobs (expires_ms) WHERE expires_ms IS NOT NULL;

-- Who spawned whom, in the order of `row`.
CREATE TABLE children (
  row INTEGER PRIMARY KEY,
  parent INTEGER NOT NULL REFERENCES jobs (row) ON DELETE CASCADE,
  in_group TEXT NOT NULL,
  -- Its id: the parent knows how a child ended even when the child is forgotten.
  -- A group without children is one row without a child, over from the start.
  child BLOB,
  ended TEXT CHECK (ended IN ('S', 'F', 'C'))
) STRICT;
CREATE INDEX children_of ON children (parent);
CREATE INDEX children_open ON children (parent) WHERE ended IS NULL;
CREATE INDEX children_failed ON children (parent) WHERE ended IN ('F', 'C');
CREATE INDEX children_parents ON children (child);

-- The unique key of a job whose record cannot be read.
CREATE INDEX keys_held ON keys (job) WHERE until_ms IS NULL;

CREATE TRIGGER jobs_child AFTER UPDATE OF state ON jobs
WHEN new.child AND (old.state IN ('S', 'F', 'C') OR new.state IN ('S', 'F', 'C')) BEGIN
  UPDATE children SET ended = CASE WHEN new.state IN ('S', 'F', 'C') THEN new.state END
  WHERE child = new.id;
END;
-- A child that is lost without an end failed.
CREATE TRIGGER jobs_child_out AFTER DELETE ON jobs
WHEN old.child AND old.state IN ('s', 'q', 'r', 'w') BEGIN
  UPDATE children SET ended = 'F' WHERE child = old.id;
END;
