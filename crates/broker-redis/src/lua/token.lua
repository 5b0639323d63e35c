-- Puts back a wake token that its taker cannot use.
-- Returns 1.
wake_one()
return 1
