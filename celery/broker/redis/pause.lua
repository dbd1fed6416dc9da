-- Pause and resume queues, and list those that are paused.
--
--     ARGV  9 'pause', 'resume' or 'list'  10 queue  11 who  12 why
--
-- pause and resume return how many were paused before; list {queue, since, who, why, ...}.

local key = own .. 'paused'
if ARGV[9] == 'list' then
    local found, entries = {}, call('HGETALL', key)
    for i = 1, #entries, 2 do
        local entry = cjson.decode(entries[i + 1])
        found[#found + 1] = {entries[i], entry.since, entry.who, entry.why}
    end
    table.sort(found, function(a, b) return a[1] < b[1] end)
    return found
end
local known = call('HGET', key, ARGV[10])
if ARGV[9] == 'resume' then
    return call('HDEL', key, ARGV[10])
end
local since = known and cjson.decode(known).since or format('%.0f', utc_of(read_clock()))
call('HSET', key, ARGV[10], cjson.encode({since = since, who = ARGV[11], why = ARGV[12]}))
return known and 1 or 0
