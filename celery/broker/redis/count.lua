-- How many messages a queue has.
--
--     ARGV  9 queue, then the priority steps
--
-- Returns {ready, scheduled, held}.  What Python workers hold is counted in up to so many entries.

local MAX_FOREIGN = 20000
local queue, n_ready = ARGV[9], 0
for s = 10, #ARGV do
    local length = pcall_redis('LLEN', list_key(queue, ARGV[s]))
    n_ready = n_ready + (type(length) == 'number' and length or 0)
end

local in_lines = tonumber(call('HGET', own .. 'waiting', queue) or 0)

local everybody = call('ZRANGE', consumers, 0, -1)
for _, consumer in ipairs(call('SMEMBERS', own .. 'dying')) do
    everybody[#everybody + 1] = consumer
end
local n_held, is_ours, n_ours = 0, {}, 0
for _, consumer in ipairs(everybody) do
    local entries = call('HGETALL', own .. 'held.' .. consumer)
    for i = 1, #entries, 2 do
        is_ours[entries[i]] = true
        n_ours = n_ours + (is_odd(entries[i]) and 0 or 1)
        if match(entries[i + 1], '^%d+ %d+ %d+ %d+ (.*)$') == queue then
            n_held = n_held + 1
        end
    end
end

-- The rest of `unacked`: without what waits for its eta, it is with Python workers.
local eta = own .. 'eta.' .. queue
local n_unacked = call('HLEN', unacked)
if n_unacked > n_ours and n_unacked <= MAX_FOREIGN then
    for _, member in ipairs(call('ZRANGE', eta, 0, -1)) do
        is_ours[match(member, '^%d+ (.*)$')] = true
    end
    for _, gate in ipairs(call('ZRANGE', own .. 'gates', 0, -1)) do
        for _, member in ipairs(call('ZRANGE', own .. 'line.' .. gate, 0, MAX_FOREIGN)) do
            local _, tag = read_place(member)
            is_ours[tag] = true
        end
    end
    local ending = cjson.encode(queue) .. ']'
    local entries = call('HGETALL', unacked)
    for i = 1, #entries, 2 do
        if not is_ours[entries[i]] and sub(entries[i + 1], -#ending) == ending then
            n_held = n_held + 1
        end
    end
end
return {n_ready, call('ZCARD', eta) + in_lines, n_held}
