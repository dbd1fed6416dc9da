-- The dead set.
--
--     ARGV  9 'bury'     queue step id reason now bytes                 -> dead id
--             'list'     queue or '' after limit                        -> entries without their bytes
--             'get'      dead id                                        -> entry with its bytes, or none
--             'requeue'  dead id                                        -> 1, or 0 where there is none
--             'drop'     dead id                                        -> the same
--
-- An entry is {dead id, queue, step, task id, reason, attempt, crashes, died, size, bytes or ''}.

local set = own .. 'dead'
local fields = {'queue', 'step', 'id', 'reason', 'attempt', 'crashes', 'died'}

local function key_of(id)
    return own .. 'dead.' .. id
end

local function read(id, is_whole)
    local key = key_of(id)
    local values = call('HMGET', key, unpack(fields))
    if not values[1] then
        return nil
    end
    table.insert(values, 1, id)
    values[9] = call('HSTRLEN', key, 'bytes')
    values[10] = is_whole and call('HGET', key, 'bytes') or ''
    return values
end

local function remove(id)
    call('ZREM', set, id)
    return call('DEL', key_of(id))
end

local work = {}

function work.bury(queue, step, task_id, reason, now, bytes)
    local id = call('INCR', own .. 'dead_id')
    local name = format('%.0f', id)
    call('HSET', key_of(name), 'queue', queue, 'step', step, 'id', task_id, 'reason', reason,
        'attempt', 0, 'crashes', 0, 'died', now, 'bytes', bytes)
    call('ZADD', set, id, name)
    return id
end

function work.list(queue, after, limit)
    local found = {}
    limit = tonumber(limit)
    while #found < limit do
        local ids = call('ZRANGEBYSCORE', set, '(' .. after, '+inf', 'LIMIT', 0, math.min(1000, limit))
        for _, id in ipairs(ids) do
            local entry = #found < limit and read(id, false)
            if entry and (queue == '' or entry[2] == queue) then
                found[#found + 1] = entry
            end
            after = id
        end
        if #ids == 0 then
            break
        end
    end
    return found
end

function work.get(id)
    return read(id, true) or {}
end

function work.requeue(id)
    local entry = read(id, true)
    if not entry then
        return 0
    end
    local ok, envelope = pcall(cjson.decode, entry[10])
    local properties = ok and type(envelope) == 'table' and envelope.properties
    local tag = type(properties) == 'table' and properties.delivery_tag
    if type(tag) == 'string' and find(entry[10], '"redelivered"', 1, true) then
        call('SET', try_key(tag, entry[10]), '0 0', 'EX', TRY_S) -- as new, whatever it says
    end
    call('LPUSH', list_key(entry[2], entry[3]), entry[10])
    return remove(id)
end

work.drop = remove

return work[ARGV[9]](unpack(ARGV, 10))
