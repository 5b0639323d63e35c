-- Lets a hold last for a lease from now.
-- ARGV[3] token   ARGV[4] lease in ms
-- Returns 1, or 0 when it was lost.
if not holds(ARGV[3]) then
  return 0
end
write('h', tonumber(ARGV[4]), ARGV[3])
return 1
