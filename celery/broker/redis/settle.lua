-- With limits.lua.
-- Carry out what waits in a handle's outbox, in order.
--
--     ARGV  9 handle  10 the last ticket of these
--           then  'P' key n bytes...                   publish
--                 'S' queue step due bytes             publish, not before due
--                 'A' n tag...                         acknowledge
--                 'V' action tag after delay cap reason now lock id
--                 'U' key queue step due bytes lock span span_us id share   publish under a lock
--                 'G' tag id lock span span_us n, then n times gate interval n   may it start?
--
-- Returns {a letter per operation, whether the consumer is alive, an error's text, who has the locks}:
-- D done  X fenced  K dead (poison)  F failed  H another has the lock  W waits in a line.
-- What was said is kept until the next call: a call that is repeated because its answer was lost gets
-- the same answer, and one that a dead connection left in the server's buffer changes nothing.

local mark_key, ticket = own .. 'mark.' .. ARGV[9], ARGV[10]
local outcomes, released, trouble, holders = {}, {}, '', {}

local last, said, kept = match(call('GET', mark_key) or '', '^(%d+) (%u*) ?(.*)$')
if last and tonumber(last) >= tonumber(ticket) then
    return {last == ticket and said or '', call('ZSCORE', consumers, ARGV[5]) and 1 or 0, '',
        kept ~= '' and cjson.decode(kept) or {}}
end

local function schedule(tag, raw, queue, step, due)
    if is_odd(tag) then
        call('HSET', odd, tag, raw)
    else
        call('HSET', unacked, tag, wrap(raw, queue))
        local now = read_clock()
        call('ZADD', index, score_of(now + due - utc_of(now)), tag)
    end
    call('ZADD', own .. 'eta.' .. queue, format('%.0f', due), step .. ' ' .. tag)
end

local function publish(key, from, n)
    local reply = pcall_redis('LPUSH', key, unpack(ARGV, from, from + n - 1))
    local letter = 'D'
    if type(reply) == 'table' and reply.err then
        if not find(reply.err, 'WRONGTYPE', 1, true) then
            return reply -- the server takes nothing, and nothing was written yet
        end
        letter, trouble = 'F', reply.err
    end
    for _ = 1, n do
        outcomes[#outcomes + 1] = letter
    end
end

local function acknowledge(from, n)
    local to = from + n - 1
    local entries = call('HMGET', held, unpack(ARGV, from, to))
    local scores = call('ZMSCORE', index, unpack(ARGV, from, to))
    local ours, tries = {}, {}
    for i = 1, n do
        local tag = ARGV[from + i - 1]
        local letter = 'X'
        if entries[i] then
            ours[#ours + 1] = tag
            if is_limited() then
                release_limits(tag, is_made_up(tag) and fetch(tag), 'end', read_entry(entries[i]).queue)
            end
            if is_odd(tag) then
                letter = 'D'
                call('HDEL', odd, tag)
            elseif scores[i] then
                letter = 'D'
            end
            if not find(entries[i], ' 1 0 ', 1, true) then
                tries[#tries + 1] = own .. 'try.' .. tag
            end
        end
        outcomes[#outcomes + 1] = letter
    end
    if #ours > 0 then
        call('HDEL', held, unpack(ours))
        call('HDEL', unacked, unpack(ours))
        call('ZREM', index, unpack(ours))
    end
    if #tries > 0 then
        call('DEL', unpack(tries))
    end
end

local function bury(tag, item, reason, now)
    local id = call('INCR', own .. 'dead_id')
    local key = own .. 'dead.' .. format('%.0f', id)
    local ok, envelope = pcall(cjson.decode, item.raw)
    local headers = ok and type(envelope) == 'table' and envelope.headers
    local task_id = type(headers) == 'table' and type(headers.id) == 'string' and headers.id or ''
    call('HSET', key, 'queue', item.queue, 'step', item.step, 'id', task_id, 'reason', reason,
        'attempt', item.attempt, 'crashes', item.crashes, 'died', now, 'bytes', item.raw)
    call('ZADD', own .. 'dead', id, format('%.0f', id))
    call('DEL', try_key(tag, item.raw))
end

local function again(tag, item, delay)
    if delay > 0 then
        local raw = remember(tag, item.raw, item.attempt, item.crashes, math.ceil(delay / 1000000))
        schedule(tag, raw, item.queue, item.step, utc_of(read_clock()) + delay)
    else
        local raw = remember(tag, item.raw, item.attempt, item.crashes)
        call('LPUSH', list_key(item.queue, item.step), raw)
    end
end

-- Into the gate's line, out of what is held: as if it had not been handed out.
local function line_up(tag, item, name, list, gate, state, utc)
    local raw = remember(tag, item.raw, item.attempt - 1, item.crashes)
    call('HDEL', held, tag)
    if is_odd(tag) then
        call('HSET', odd, tag, raw)
    else
        call('HSET', unacked, tag, wrap(raw, item.queue))
        call('ZADD', index, score_of(read_clock() + LINE_DAY_US), tag)
    end
    local score = item.step * 1e14 + call('INCR', own .. 'serial')
    call('ZADD', own .. 'line.' .. gate, whole(score), item.step .. ' ' .. #tag .. ' ' .. tag .. ' ' .. item.queue)
    call('HINCRBY', own .. 'waiting', item.queue, 1)
    -- What it has passed it keeps, but not for ever: a Python worker may come to it first.
    for _, passed in ipairs(list) do
        if sub(passed, 1, 1) == 'p' then
            call('ZADD', own .. 'places.' .. sub(passed, 2), 'XX', whole(utc + 2 * LINE_DAY_US), name)
        end
    end
    write_grant(name, list)
    local known = call('ZSCORE', gates, gate)
    write_gate(gate, state, state.interval > 0 and opens_at(state) or known or utc + LAPSE_US, utc)
end

-- 'D', or 'H' or 'W'; arguments as 'G' has them, from `at`.
local function admit(at)
    local tag, id, lock, span, n = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 5])
    local entry = call('HGET', held, tag)
    local item = entry and read_entry(entry)
    if item then
        item.raw = fetch(tag)
    end
    if not item or not item.raw then
        return 'X'
    end
    local utc, name = utc_of(read_clock()), name_of(tag, item.raw)
    local list, has = read_grant(name), {}
    for _, passed in ipairs(list) do
        has[passed] = true
    end
    if span ~= 'none' then
        local holder = take_lock(lock, span, tonumber(ARGV[at + 4]), id, item.queue, 'r')
        if holder then
            holders[#holders + 1] = holder
            return 'H'
        end
        local passed = 'l' .. id .. ' ' .. lock
        if span == 'ended' and not has[passed] and not find(id, '%s') then
            list[#list + 1] = passed
        end
    end
    for g = 1, n do
        local gate = ARGV[at + 3 + 3 * g]
        local interval, most = tonumber(ARGV[at + 4 + 3 * g]), tonumber(ARGV[at + 5 + 3 * g])
        local is_rate, places = interval > 0, own .. 'places.' .. gate
        local passed = (is_rate and 'r' or 'p') .. gate
        if not has[passed] or not (is_rate or call('ZSCORE', places, name)) then
            local state = read_gate(gate)
            local is_free = not call('ZSCORE', gates, gate)
            state.interval, state.n = interval, most
            if is_free and is_rate then
                is_free = opens_at(state) <= utc
            elseif is_free then
                is_free = count_places(gate, utc) < most
            end
            if not is_free then
                line_up(tag, item, name, list, gate, state, utc)
                return 'W'
            end
            if is_rate then
                state.arrival = math.max(state.arrival, utc) + interval
                write_gate(gate, state, nil, utc)
            end
            if not has[passed] then
                list[#list + 1] = passed
            end
        end
        if not is_rate then
            call('ZADD', places, 'inf', name)
        end
    end
    write_grant(name, list)
    if span == 'queued' then
        free_lock(lock, id, item.queue)
    end
    return 'D'
end

-- As publish, if the lock is free.
local function publish_locked(at)
    local key, queue, step, due, raw = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
    local holder = take_lock(ARGV[at + 5], ARGV[at + 6], tonumber(ARGV[at + 7]), ARGV[at + 8], queue, 'q')
    if holder and ARGV[at + 9] ~= '1' then
        holders[#holders + 1] = holder
        outcomes[#outcomes + 1] = 'H'
        return nil
    end
    if due ~= '' then
        schedule(make_up('!'), raw, queue, step, tonumber(due))
        outcomes[#outcomes + 1] = 'D'
        return nil
    end
    local refused = publish(key, at + 4, 1)
    if not holder and (refused or outcomes[#outcomes] == 'F') then
        free_lock(ARGV[at + 5], ARGV[at + 8], queue)
    end
    return refused
end

local function judge(action, tag, delay, cap, reason, now, lock, id, is_bound)
    local entry = call('HGET', held, tag)
    if not entry then
        return 'X'
    end
    local item = read_entry(entry)
    item.tag, item.raw = tag, fetch(tag)
    -- Bound to a publish, and with no lock to free: a retry, which goes on with the lock.
    local is_retry = is_bound and lock == ''
    local is_end = (action == 'ack' and not is_retry) or action == 'bury'
        or (action == 'crashed' and item.crashes + 1 >= cap)
    release_limits(tag, item.raw, is_end and 'end' or action == 'release' and action or 'again', item.queue)
    if lock ~= '' and is_end then
        free_lock(lock, id, item.queue)
    end
    call('HDEL', held, tag)
    drop(tag)
    if not item.raw then
        return 'X' -- Kombu has restored it
    end
    if action == 'release' then
        item.attempt = item.attempt - 1
        released[#released + 1] = item
    elseif action == 'requeue' then
        again(tag, item, delay)
    elseif action == 'crashed' then
        item.crashes = item.crashes + 1
        if item.crashes >= cap then
            bury(tag, item, reason, now)
            return 'K'
        end
        again(tag, item, delay)
    elseif action == 'bury' then
        bury(tag, item, reason, now)
    else
        call('DEL', try_key(tag, item.raw))
    end
    return 'D'
end

local at = 11
while ARGV[at] do
    local op = ARGV[at]
    if op == 'A' then
        local n = tonumber(ARGV[at + 1])
        acknowledge(at + 2, n)
        at = at + 2 + n
    elseif op == 'P' then
        local n = tonumber(ARGV[at + 2])
        local refused = publish(ARGV[at + 1], at + 3, n)
        if refused then
            return refused
        end
        at = at + 3 + n
    elseif op == 'V' then
        local after = tonumber(ARGV[at + 3])
        local letter = 'F'
        if outcomes[after] ~= 'F' then
            letter = judge(ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 4]),
                tonumber(ARGV[at + 5]), ARGV[at + 6], ARGV[at + 7], ARGV[at + 8], ARGV[at + 9],
                after > 0)
        end
        outcomes[#outcomes + 1] = letter
        at = at + 10
    elseif op == 'U' then
        local refused = publish_locked(at + 1)
        if refused then
            return refused
        end
        at = at + 11
    elseif op == 'G' then
        outcomes[#outcomes + 1] = admit(at + 1)
        at = at + 7 + 3 * ARGV[at + 6]
    else
        schedule(make_up('!'), ARGV[at + 4], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]))
        outcomes[#outcomes + 1] = 'D'
        at = at + 5
    end
end
give_back(released)
said = table.concat(outcomes)
call('SET', mark_key, ticket .. ' ' .. said .. (#holders > 0 and ' ' .. cjson.encode(holders) or ''),
    'EX', 86400)
return {said, call('ZSCORE', consumers, ARGV[5]) and 1 or 0, trouble, holders}
