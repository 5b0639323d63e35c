-- What a shelf of the cache did.
-- ?1 shelf
SELECT hits, shared, misses FROM cache_counts WHERE shelf = ?1;
