-- Messages of a queue that wait for their eta, the earliest first.
--
--     ARGV  9 queue  10 how many at most  11 how many bytes of them, the first one in any case
--
-- Returns {due, step, tag, bytes} for each.

local found, n_bytes = {}, 0
local members = call('ZRANGE', own .. 'eta.' .. ARGV[9], 0, ARGV[10] - 1, 'WITHSCORES')
for i = 1, #members, 2 do
    local step, tag = match(members[i], '^(%d+) (.*)$')
    local raw = tag and fetch(tag)
    if raw then
        n_bytes = n_bytes + #raw
        if n_bytes > tonumber(ARGV[11]) and #found > 0 then
            break
        end
        found[#found + 1] = {members[i + 1], step, tag, raw}
    end
end
return found
