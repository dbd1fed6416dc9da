-- Remove what is ready and scheduled, some thousands at a time.
--
--     ARGV  9 queue, then the priority steps
--
-- Returns how many: call again until there are none.

local STEP = 2000
local queue, n = ARGV[9], 0
for s = 10, #ARGV do
    local key = list_key(queue, ARGV[s])
    local length = math.min(call('LLEN', key), STEP - n)
    if length > 0 then
        call('LTRIM', key, 0, -length - 1)
        n = n + length
    end
end
local eta = own .. 'eta.' .. queue
for _, member in ipairs(n < STEP and call('ZRANGE', eta, 0, STEP - n - 1) or {}) do
    drop(match(member, '^%d+ (.*)$'))
    call('ZREM', eta, member)
    n = n + 1
end
return n
