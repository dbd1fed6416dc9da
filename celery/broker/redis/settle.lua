-- Carry out what waits in a handle's outbox, in order.
--
--     ARGV  9 handle  10 the last ticket of these
--           then  'P' key n bytes...                   publish
--                 'S' queue step due bytes             publish, not before due
--                 'A' n tag...                         acknowledge
--                 'V' action tag after delay cap reason now
--
-- Returns {a letter per operation, whether the consumer is alive, an error's text}:
-- D done  X fenced  K dead (poison)  F failed.
-- What was said is kept until the next call: a call that is repeated because its answer was lost gets
-- the same answer, and one that a dead connection left in the server's buffer changes nothing.

local mark_key, ticket = own .. 'mark.' .. ARGV[9], ARGV[10]
local outcomes, released, trouble = {}, {}, ''

local last, said = match(call('GET', mark_key) or '', '^(%d+) (%u*)$')
if last and tonumber(last) >= tonumber(ticket) then
    return {last == ticket and said or '', call('ZSCORE', consumers, ARGV[5]) and 1 or 0, ''}
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

local function judge(action, tag, delay, cap, reason, now)
    local entry = call('HGET', held, tag)
    if not entry then
        return 'X'
    end
    local item = read_entry(entry)
    item.tag, item.raw = tag, fetch(tag)
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
                tonumber(ARGV[at + 5]), ARGV[at + 6], ARGV[at + 7])
        end
        outcomes[#outcomes + 1] = letter
        at = at + 8
    else
        schedule(make_up('!'), ARGV[at + 4], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]))
        outcomes[#outcomes + 1] = 'D'
        at = at + 5
    end
end
give_back(released)
said = table.concat(outcomes)
call('SET', mark_key, ticket .. ' ' .. said, 'EX', 86400)
return {said, call('ZSCORE', consumers, ARGV[5]) and 1 or 0, trouble}
