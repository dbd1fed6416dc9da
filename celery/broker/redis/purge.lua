-- With limits.lua.
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

-- Those in the lines of limits, and the locks of what waited.
for _, gate in ipairs(n < STEP and call('ZRANGE', own .. 'gates', 0, -1) or {}) do
    local line = own .. 'line.' .. gate
    for _, member in ipairs(call('ZRANGE', line, 0, -1)) do
        local _, tag, from = read_place(member)
        if from == queue and n < STEP then
            release_limits(tag, fetch(tag), 'end', queue)
            drop(tag)
            call('ZREM', line, member)
            call('HINCRBY', own .. 'waiting', queue, -1)
            n = n + 1
        end
    end
end
for _, lock in ipairs(n < STEP and call('SMEMBERS', own .. 'locks.' .. queue) or {}) do
    if sub(call('GET', own .. 'lock.' .. lock) or 'q', 1, 1) == 'q' then
        call('DEL', own .. 'lock.' .. lock)
        call('SREM', own .. 'locks.' .. queue, lock)
    end
end
return n
