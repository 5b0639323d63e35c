-- Counts one asking.
-- ?1 shelf   ?2 hits   ?3 shared   ?4 misses
INSERT INTO cache_counts (shelf, hits, shared, misses) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (shelf) DO UPDATE SET
  hits = hits + excluded.hits, shared = shared + excluded.shared, misses = misses + excluded.misses;
