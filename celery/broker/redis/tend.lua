-- With limits.lua.
-- The consumer's heartbeat; on the way, bring back what the dead held.
--
--     ARGV  9 lease in microseconds  10 '1': join  11 Kombu's visibility timeout in seconds, 0 = leave
--           its messages alone this time  12 its mutex  13 what binding tables begin with
--           14 the priority steps, descending, with commas
--
-- Returns {'ok' or 'lost', now, when the next lease ends or '', messages brought back, whether there
-- are more}.

local GAP_US = 5000000
local now = read_clock()
local lease_now = tonumber(ARGV[6]) or now
local till = format('%.0f', lease_now + ARGV[9])
local n_back, is_more = 0, false

-- Nobody could beat while the server stood still, was down or had its clock set: everybody's lease
-- begins anew, and only who is dead lets it end.
local pulse = tonumber(call('GET', own .. 'pulse') or now)
local is_gap = math.abs(now - pulse) > GAP_US
if is_gap then
    for _, consumer in ipairs(call('ZRANGE', consumers, 0, -1)) do
        call('ZADD', consumers, till, consumer)
    end
    call('SET', own .. 'gap', '1', 'EX', 60)
end
call('SET', own .. 'pulse', format('%.0f', now))

-- Held messages look as if they were taken just now, so that Kombu leaves them alone.
local function refresh()
    local place = own .. 'refresh.' .. ARGV[5]
    local page = call('HSCAN', held, call('GET', place) or '0', 'COUNT', 1024)
    local scores, score = {}, score_of(now)
    if page[1] ~= '0' then
        call('SET', place, page[1], 'EX', 3600)
    else
        call('DEL', place)
    end
    for i = 1, #page[2], 2 do
        scores[#scores + 1], scores[#scores + 2] = score, page[2][i]
        if #scores >= 2000 then
            call('ZADD', index, 'XX', unpack(scores))
            scores = {}
        end
    end
    if #scores > 0 then
        call('ZADD', index, 'XX', unpack(scores))
    end
end

local state = 'ok'
if call('ZSCORE', consumers, ARGV[5]) then
    call('ZADD', consumers, till, ARGV[5])
    refresh()
elseif ARGV[10] == '1' then
    call('ZADD', consumers, till, ARGV[5])
else
    state = 'lost'
end

-- Who is dead cannot come back; what he held comes in parts.
for _, consumer in ipairs(call('ZRANGEBYSCORE', consumers, '-inf', format('%.0f', lease_now), 'LIMIT', 0, 16)) do
    call('ZREM', consumers, consumer)
    call('SADD', own .. 'dying', consumer)
end
for _, consumer in ipairs(call('SRANDMEMBER', own .. 'dying', 16)) do
    local n, is_left = 0, true
    if n_back < 512 then
        n, is_left = give_back_from(own .. 'held.' .. consumer, 0)
    end
    n_back = n_back + n
    if is_left then
        is_more = true
    else
        call('SREM', own .. 'dying', consumer)
        call('DEL', own .. 'refresh.' .. consumer)
    end
end

-- The queues that a message of a Python worker came from.
local function find_queues(exchange, key)
    if exchange == '' then
        return {key}
    end
    local found = {}
    for _, member in ipairs(call('SMEMBERS', ARGV[13] .. '.' .. exchange)) do
        local a, b = find(member, ARGV[8], 1, true)
        local c, d = find(member, ARGV[8], (b or 0) + 1, true)
        if a and c then
            local pattern = sub(member, b + 1, c - 1)
            -- Kombu's regular expressions for topics have four parts only.
            pattern = pattern:gsub('%.%*%?%[%^\\%.%]', '\1'):gsub('%.%*%?', '\2'):gsub('\\%.', '\3')
            pattern = pattern:gsub('^%^', ''):gsub('%$$', ''):gsub('%p', '%%%0')
            pattern = pattern:gsub('\1', '.-[^%%.]'):gsub('\2', '.-'):gsub('\3', '%%.')
            if sub(member, 1, a - 1) == key or (pattern ~= '' and find(key, '^' .. pattern .. '$')) then
                found[#found + 1] = sub(member, d + 1)
            end
        end
    end
    return found
end

local function find_step(priority)
    priority = math.max(0, math.min(9, math.floor(tonumber(priority) or 0)))
    for step in string.gmatch(ARGV[14], '%d+') do
        if tonumber(step) <= priority then
            return step
        end
    end
    return '0'
end

local function restore(tag)
    local value = call('HGET', unacked, tag)
    if not value then
        call('ZREM', index, tag)
        return 0
    end
    local ok, parts = pcall(cjson.decode, value)
    local raw = match(value, '^%[%s*(.*%S)%s*,%s*"[^"]*"%s*,%s*"[^"]*"%s*%]$')
    if not ok or type(parts) ~= 'table' or type(parts[1]) ~= 'table' or not raw then
        return 0 -- not as Kombu writes it: left to whoever wrote it
    end
    local exchange, key = parts[2], parts[3]
    if exchange == cjson.null then
        exchange = ''
    end
    if type(exchange) ~= 'string' or type(key) ~= 'string' then
        return 0
    end
    local queues = find_queues(exchange, key)
    local properties = type(parts[1].properties) == 'table' and parts[1].properties or {}
    for _, queue in ipairs(queues) do
        call('RPUSH', list_key(queue, find_step(properties.priority)), mark(raw))
    end
    if #queues > 0 then
        drop(tag)
        return 1
    end
    return 0
end

local vanished = tonumber(ARGV[11])
if vanished > 0 and call('EXISTS', own .. 'gap') == 0 and call('SET', ARGV[12], ARGV[5] .. 'trawl', 'NX', 'PX', 300000) then
    for _, tag in ipairs(call('ZRANGEBYSCORE', index, 0, score_of(now - vanished * 1000000), 'LIMIT', 0, 100)) do
        n_back = n_back + restore(tag)
    end
    call('DEL', ARGV[12])
end

local first = call('ZRANGE', consumers, 0, 0, 'WITHSCORES')
local wait = tonumber(first[2]) and tonumber(first[2]) - lease_now or ''
return {state, now, wait, n_back, is_more and 1 or 0}
