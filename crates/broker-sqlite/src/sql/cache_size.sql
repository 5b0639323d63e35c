-- What the cache holds.
SELECT kept, bytes FROM cache_size WHERE only = 1;
