-- Schema 3: accounts and models that calls are admitted for, each with its
-- `lovage_core::limiter::State` as JSON.
CREATE TABLE limiters (
  name TEXT PRIMARY KEY,
  state TEXT NOT NULL
) STRICT, WITHOUT ROWID;
