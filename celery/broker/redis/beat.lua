-- What beat remembers, and the messages that it sends: each call is one step.
--
--     ARGV  5 the beat  9 operation  10 term, then by operation
--
--     look                                          -> {'done', term, signs, owner}
--     take     11 signs  12 owner                   -> {'done'} | {'fenced'}; 10 to 12 as they were seen
--     release                                       -> {'done'} | {'fenced'}, as all that follows
--     keep
--     load     11 anchor  12... names               -> {'done', an entry each}
--     send     11 name  12 slot  13 its key  14 queue  15 step  16 task id  17 now  18 keys kept
--              19 what bindings begin with  20 message
--                                                   -> {'done', entry} | {'repeated', entry}
--                                                    | {'unknown'} | {'refused', why}
--     skip     11 name  12 slot                     -> {'done'} | {'unknown'}
--     list                                          -> {'done', name, entry, name, entry ...}
--
-- An entry is the text "last_slot n_runs sent_at task_id", times in microseconds, -1 for never.

local op, term = ARGV[9], ARGV[10]
local leader, entries = own .. 'beat.leader', own .. 'beat.entries'

local lead = call('HMGET', leader, 'term', 'signs', 'owner')

if op == 'look' then
    return {'done', lead[1] or '0', lead[2] or '0', lead[3] or ''}
elseif op == 'list' then
    local reply = {'done'}
    local fields = call('HGETALL', entries)
    for i = 1, #fields do
        reply[#reply + 1] = fields[i]
    end
    return reply
elseif op == 'take' then
    if (lead[1] or '0') ~= term or (lead[2] or '0') ~= ARGV[11] or (lead[3] or '') ~= ARGV[12] then
        return {'fenced'}
    end
    call('HSET', leader, 'term', format('%.0f', term + 1), 'signs', '0', 'owner', ARGV[5])
    return {'done'}
end

if lead[1] ~= term or lead[3] ~= ARGV[5] then
    return {'fenced'}
end
if op == 'release' then
    call('HSET', leader, 'owner', '')
    return {'done'}
end
call('HINCRBY', leader, 'signs', 1)

local function slots_key(name)
    return own .. 'beat.slots.' .. name
end

local function order_key(name)
    return own .. 'beat.order.' .. name
end

local function load()
    local reply, wanted = {'done'}, {}
    for i = 12, #ARGV do
        wanted[ARGV[i]] = true
        call('HSETNX', entries, ARGV[i], ARGV[11] .. ' 0 -1 ')
        reply[#reply + 1] = call('HGET', entries, ARGV[i])
    end
    local known = call('HKEYS', entries)
    for i = 1, #known do
        if not wanted[known[i]] then
            call('HDEL', entries, known[i])
            call('DEL', slots_key(known[i]), order_key(known[i]))
        end
    end
    return reply
end

local function send(name, entry)
    local slot, key, queue, id = ARGV[12], ARGV[13], ARGV[14], ARGV[16]
    local last, runs, sent, last_id = match(entry, '^(%-?%d+) (%d+) (%-?%d+) (.*)$')
    if tonumber(slot) <= tonumber(last) then
        return {'repeated', entry}
    end
    if call('HEXISTS', slots_key(name), key) == 1 then -- sent before the clock went far back
        entry = slot .. ' ' .. runs .. ' ' .. sent .. ' ' .. last_id
        call('HSET', entries, name, entry)
        return {'repeated', entry}
    end
    local reply = pcall_redis('LPUSH', list_key(queue, ARGV[15]), ARGV[20])
    if type(reply) == 'table' and reply.err then
        return find(reply.err, 'OOM', 1, true) and reply or {'refused', reply.err}
    end
    local member = queue .. ARGV[8] .. ARGV[8] .. queue
    call('SADD', ARGV[19] .. '.' .. queue, member)
    call('SADD', ARGV[19] .. '_permanent.' .. queue, member)
    call('HSET', slots_key(name), key, id)
    call('RPUSH', order_key(name), key)
    while call('LLEN', order_key(name)) > tonumber(ARGV[18]) do
        call('HDEL', slots_key(name), call('LPOP', order_key(name)))
    end
    entry = slot .. ' ' .. format('%.0f', runs + 1) .. ' ' .. ARGV[17] .. ' ' .. id
    call('HSET', entries, name, entry)
    return {'done', entry}
end

if op == 'keep' then
    return {'done'}
elseif op == 'load' then
    return load()
end
local entry = call('HGET', entries, ARGV[11])
if not entry then
    return {'unknown'}
elseif op == 'send' then
    return send(ARGV[11], entry)
end
call('HSET', entries, ARGV[11], ARGV[12] .. match(entry, '^%-?%d+( .*)$'))
return {'done'}
