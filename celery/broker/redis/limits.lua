-- Limits that all workers share: gates with their lines, and locks.  docs/limits.md has the rules, and
-- celery/broker/sqlite_gate.c the same for SQLite.
--
--     gates           zset   gate -> when its line is looked at; only gates with a line
--     gate.<gate>     hash   arrival (a rate's theoretical one), interval (0: places), n
--     line.<gate>     zset   its place (read_place) -> step and serial number
--     places.<gate>   zset   message -> when its place lapses; 'inf' while it runs
--     grant.<message> string JSON: what it has passed, 'r' or 'p' and the gate; 'l' and its lock
--     waiting         hash   queue -> how many of its messages are in a line
--     lock.<lock>     string 'q' (waits) or 'r' (runs) or 't' (timed), then the task's id
--     locks.<queue>   set    locks of its messages, for a purge
--     limited         string somebody has a grant: without it nobody looks for one
--
-- Instants are UTC in microseconds, by the server's clock.

local LAPSE_US, LATE_US, DAY_S, LINE_DAY_US = 60000000, 250000, 86400, 86400000000
local POP_LIMIT, GATE_LIMIT = 256, 64
local gates = own .. 'gates'
local has_limits

local function is_limited()
    if has_limits == nil then
        has_limits = call('EXISTS', own .. 'limited') == 1
    end
    return has_limits
end

local function whole(number)
    return format('%.0f', number)
end

-- A message's own name: its tag, or where the tag is ours and new each time, its bytes.
local function name_of(tag, raw)
    return is_made_up(tag) and raw and redis.sha1hex(raw) or tag
end

local function read_grant(name)
    local text = call('GET', own .. 'grant.' .. name)
    return text and cjson.decode(text) or {}
end

local function write_grant(name, list)
    if #list == 0 then
        call('DEL', own .. 'grant.' .. name)
        return
    end
    call('SET', own .. 'grant.' .. name, cjson.encode(list), 'EX', 30 * DAY_S)
    call('SET', own .. 'limited', '1', 'EX', 31 * DAY_S)
    has_limits = true
end

local function read_gate(gate)
    local known = call('HMGET', own .. 'gate.' .. gate, 'arrival', 'interval', 'n')
    return {arrival = tonumber(known[1] or 0), interval = tonumber(known[2] or 0), n = tonumber(known[3] or 1)}
end

-- A gate that nobody waits for is worth remembering as long as its arrival lies ahead.
local function write_gate(gate, state, next_at, utc)
    local key = own .. 'gate.' .. gate
    if next_at then
        call('HSET', key, 'arrival', whole(state.arrival), 'interval', whole(state.interval), 'n', whole(state.n))
        call('PERSIST', key)
        call('ZADD', gates, whole(next_at), gate)
        return
    end
    call('ZREM', gates, gate)
    local left_us = state.arrival - utc
    if state.interval == 0 or left_us <= 0 then
        call('DEL', key)
    else
        call('HSET', key, 'arrival', whole(state.arrival), 'interval', whole(state.interval), 'n', whole(state.n))
        call('PEXPIRE', key, math.ceil(left_us / 1000) + 1000)
    end
end

local function opens_at(state)
    return state.arrival - (state.n - 1) * state.interval
end

local function count_places(gate, utc)
    local key = own .. 'places.' .. gate
    call('ZREMRANGEBYSCORE', key, '-inf', whole(utc))
    return call('ZCARD', key)
end

-- The first of a gate's line to the front of their queues, as many as may pass.
local function serve(gate, utc)
    local line, state = own .. 'line.' .. gate, read_gate(gate)
    local members = call('ZRANGE', line, 0, POP_LIMIT - 1)
    local n = 0
    if state.interval == 0 then
        n = math.max(0, math.min(#members, state.n - count_places(gate, utc)))
    else
        state.arrival = math.max(state.arrival, utc - LATE_US)
        while n < #members and opens_at(state) <= utc do
            state.arrival = state.arrival + state.interval
            n = n + 1
        end
    end
    local n_passed = 0
    for i = n, 1, -1 do
        local step, tag, queue = read_place(members[i])
        local raw = fetch(tag)
        call('ZREM', line, members[i])
        call('HINCRBY', own .. 'waiting', queue, -1)
        if raw then -- else Kombu has restored it
            local name = name_of(tag, raw)
            local list = read_grant(name)
            list[#list + 1] = (state.interval == 0 and 'p' or 'r') .. gate
            if state.interval == 0 then
                call('ZADD', own .. 'places.' .. gate, whole(utc + LAPSE_US), name)
            end
            write_grant(name, list)
            drop(tag)
            call('RPUSH', list_key(queue, step), raw)
            n_passed = n_passed + 1
        end
    end
    local next_at
    if n < #members or #members == POP_LIMIT then
        next_at = state.interval > 0 and opens_at(state)
            or (n == POP_LIMIT and utc or utc + LAPSE_US)
    end
    write_gate(gate, state, next_at, utc)
    return n_passed
end

-- Lines whose time has come.  Returns when the next one's comes, or nil.
local function serve_due(utc)
    for _, gate in ipairs(call('ZRANGEBYSCORE', gates, '-inf', whole(utc), 'LIMIT', 0, GATE_LIMIT)) do
        serve(gate, utc)
    end
    local first = call('ZRANGE', gates, 0, 0, 'WITHSCORES')
    return tonumber(first[2])
end

-- Take a lock, if it is free or the task's own.  Returns nil, or who has it.
local function take_lock(lock, span, span_us, id, queue, state)
    local key = own .. 'lock.' .. lock
    local known, holder = match(call('GET', key) or '', '^(%l) (.*)$')
    if holder and holder ~= id then
        return holder
    end
    if span == 'timed' then
        if not holder then
            call('SET', key, 't ' .. id, 'PX', math.ceil(span_us / 1000))
        end
    elseif known ~= 't' then
        call('SET', key, state .. ' ' .. id, 'EX', DAY_S)
        call('SADD', own .. 'locks.' .. queue, lock)
        call('EXPIRE', own .. 'locks.' .. queue, 2 * DAY_S)
    end
    return nil
end

local function free_lock(lock, id, queue)
    local key = own .. 'lock.' .. lock
    local known, holder = match(call('GET', key) or '', '^(%l) (.*)$')
    if holder == id and known ~= 't' then
        call('DEL', key)
        call('SREM', own .. 'locks.' .. queue, lock)
    end
end

-- It waits again: a purge of its queue frees the lock.
local function loosen_lock(lock, id)
    local key = own .. 'lock.' .. lock
    if call('GET', key) == 'r ' .. id then
        call('SET', key, 'q ' .. id, 'EX', DAY_S)
    end
end

-- What a message has of its limits: 'end' frees all of it, 'again' all but the lock, 'release' its
-- places only.
release_limits = function(tag, raw, how, queue)
    if not is_limited() then
        return
    end
    local name = name_of(tag, raw)
    local list, left = read_grant(name), {}
    if #list == 0 then
        return
    end
    local utc = utc_of(read_clock())
    for _, entry in ipairs(list) do
        local kind, rest = sub(entry, 1, 1), sub(entry, 2)
        if kind == 'p' then
            call('ZREM', own .. 'places.' .. rest, name)
            if call('ZSCORE', gates, rest) then
                serve(rest, utc)
            end
        elseif kind == 'l' then
            local id, lock = match(rest, '^(%S*) (.*)$')
            if how == 'end' then
                free_lock(lock, id, queue)
            else
                loosen_lock(lock, id)
            end
        elseif how == 'release' then
            left[#left + 1] = entry
        end
    end
    write_grant(name, left)
end
