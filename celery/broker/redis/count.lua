-- How many messages a queue has.
--
--     ARGV  9 queue, then the priority steps
--
-- Returns {ready, scheduled, held}.  What Python workers hold is counted in up to so many entries.

local MAX_FOREIGN = 20000
local queue, n_ready, n_ours = ARGV[9], 0, 0
for s = 10, #ARGV do
    local length = pcall_redis('LLEN', list_key(queue, ARGV[s]))
    n_ready = n_ready + (type(length) == 'number' and length or 0)
end

local n_held, n_known = 0, 0
local function count_held(consumer)
    for _, entry in ipairs(call('HVALS', own .. 'held.' .. consumer)) do
        n_known = n_known + 1
        if match(entry, '^%d+ %d+ %d+ %d+ (.*)$') == queue then
            n_held = n_held + 1
        end
    end
end
for _, consumer in ipairs(call('ZRANGE', consumers, 0, -1)) do
    count_held(consumer)
end
for _, consumer in ipairs(call('SMEMBERS', own .. 'dying')) do
    count_held(consumer)
end

-- The rest of `unacked`: without what waits for its eta, it is with Python workers.
local eta = own .. 'eta.' .. queue
local n_scheduled = call('ZCARD', eta)
local n_unacked = call('HLEN', unacked)
if n_unacked > n_known and n_unacked <= MAX_FOREIGN then
    local is_ours = {}
    for _, consumer in ipairs(call('ZRANGE', consumers, 0, -1)) do
        for _, tag in ipairs(call('HKEYS', own .. 'held.' .. consumer)) do
            is_ours[tag] = true
        end
    end
    for _, member in ipairs(call('ZRANGE', eta, 0, -1)) do
        is_ours[match(member, '^%d+ (.*)$')] = true
    end
    local ending = cjson.encode(queue) .. ']'
    local entries = call('HGETALL', unacked)
    for i = 1, #entries, 2 do
        if not is_ours[entries[i]] and sub(entries[i + 1], -#ending) == ending then
            n_held = n_held + 1
        end
    end
end
return {n_ready, n_scheduled, n_held}
