-- With limits.lua.
-- Move messages from the queues to `unacked`, in one step: a kill at any point loses none.
--
--     KEYS  the queues' lists, step by step, the best step first; then their sets of etas
--     ARGV  9 how many  10 bytes after which no further one is taken  11 serial number of this claim
--           12 the queue whose turn it is, from 0  13 how many queues, then their names
--           then the priority steps
--
-- Returns {'lost'}, or {'ok', now, next eta or '', whether to claim again at once, the next turn,
-- then for each message: bytes, tag, 'step attempt crashes revoked queue'}.

if not call('ZSCORE', consumers, ARGV[5]) then
    return {'lost'}
end
local limit, max_bytes, turn, n_queues = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[12]), tonumber(ARGV[13])
local now = read_clock()
local utc = utc_of(now)
local n_steps = #ARGV - 13 - n_queues
local is_more, next_eta, n_bytes = false, nil, 0

-- Due messages to the front of their lists, the earliest foremost.
local function promote(eta, queue)
    local members = call('ZRANGEBYSCORE', eta, '-inf', format('%.0f', utc), 'LIMIT', 0, 128)
    for i = #members, 1, -1 do
        local step, tag = match(members[i], '^(%d+) (.*)$')
        local raw = fetch(tag)
        if raw then -- else Kombu has restored it
            drop(tag)
            call('RPUSH', list_key(queue, step), raw)
        end
    end
    if #members > 0 then
        call('ZREM', eta, unpack(members))
    end
end

-- Two keys that are rarely there: lines that wait, queues that are paused.
local closed = {} -- queues, from 0
if call('EXISTS', gates, own .. 'paused') > 0 then
    next_eta = serve_due(utc)
    for i = 0, n_queues - 1 do
        closed[i] = call('HEXISTS', own .. 'paused', ARGV[14 + i]) == 1
    end
end

for i = 0, n_queues - 1 do
    local queue, eta = ARGV[14 + i], KEYS[n_steps * n_queues + i + 1]
    local first = call('ZRANGE', eta, 0, 0, 'WITHSCORES')
    if first[2] and tonumber(first[2]) <= utc then
        promote(eta, queue)
        first = call('ZRANGE', eta, 0, 0, 'WITHSCORES')
    end
    local due = tonumber(first[2])
    if due and (not next_eta or due < next_eta) then
        next_eta = due
    end
end

-- Days since 1970 of a civil date.  Source: Hinnant, "chrono-Compatible Low-Level Date Algorithms".
local function count_days(y, m, d)
    if m <= 2 then
        y = y - 1
    end
    local era = math.floor(y / 400)
    local yoe = y - era * 400
    local doy = math.floor((153 * (m > 2 and m - 3 or m + 9) + 2) / 5) + d - 1
    return era * 146097 + yoe * 365 + math.floor(yoe / 4) - math.floor(yoe / 100) + doy - 719468
end

-- ISO 8601 to microseconds; nil where the worker will have to say that it is none.
local function read_time(text)
    local y, mo, d, h, mi, s, rest = match(text, '^(%d%d%d%d)%-(%d%d)%-(%d%d)[T ](%d%d):(%d%d):(%d%d)(.*)$')
    if not y then
        return nil
    end
    local fraction, zone = match(rest, '^%.?(%d*)(.*)$')
    local sign, zh, zm = match(zone, '^([+-])(%d%d):?(%d%d)')
    local shift = sign and (zh * 3600 + zm * 60) * (sign == '-' and 1 or -1) or 0
    local seconds = count_days(tonumber(y), tonumber(mo), tonumber(d)) * 86400 + h * 3600 + mi * 60 + s + shift
    return seconds * 1000000 + tonumber(sub(fraction .. '000000', 1, 6))
end

-- What matters of an envelope; nil when it is none.
local function look(raw)
    local ok, envelope = pcall(cjson.decode, raw)
    if not ok or type(envelope) ~= 'table' then
        return nil
    end
    local headers = type(envelope.headers) == 'table' and envelope.headers or {}
    local properties = type(envelope.properties) == 'table' and envelope.properties or {}
    local info = {is_redelivered = headers.redelivered == true}
    if type(properties.delivery_tag) == 'string' and properties.delivery_tag ~= '' then
        info.tag = properties.delivery_tag
    end
    if type(headers.eta) == 'string' then
        info.eta = read_time(headers.eta)
    end
    info.id = type(headers.id) == 'string' and headers.id or nil
    return info
end

-- A name with a text as its value, wherever: most messages have none and need not be decoded.
local function has_text_under(raw, name)
    local at = 1
    while true do
        local _, last = find(raw, name, at, true)
        if not last then
            return false
        end
        if find(raw, '^%s*:%s*"', last + 1) then
            return true
        end
        at = last + 1
    end
end

local tags, raws, steps, queues, attempts, crashes = {}, {}, {}, {}, {}, {}
local is_revoking = call('HLEN', own .. 'revoked') > 0
local revoked = {}

local n_scheduled, MAX_SCHEDULED = 0, 256

local function recall(n, tag, raw)
    local known = call('GET', own .. 'try.' .. tag) or call('GET', own .. 'try.' .. redis.sha1hex(raw))
    local a, c = match(known or '1 0', '^(%d+) (%d+)$')
    attempts[n], crashes[n] = a + 1, tonumber(c)
end

-- One message: delivered, or put by until its eta.
local function accept(raw, queue, step)
    local n = #tags + 1
    -- Kombu writes the tag last.  It is no more than a name here; where it came from matters little.
    local tag = match(raw, '^"delivery_tag": "([^"\\]+)"}}$', -56) -- a UUID
        or match(sub(raw, -120), '"delivery_tag": "([^"\\]+)"}}$')
    local is_envelope = tag and byte(raw, 1) == 123
    local info
    if not is_envelope or has_text_under(raw, '"eta"') or is_revoking
            or find(raw, 'redelivered"', 1, true) then
        info = look(raw)
        tag = info and info.tag
    end
    if not tag then
        tag = make_up('!')
        raws[n], attempts[n] = raw, 1
        local known = call('GET', try_key(tag, raw))
        if known then
            local a, c = match(known, '^(%d+) (%d+)$')
            attempts[n], crashes[n] = a + 1, tonumber(c)
        end
    elseif info and info.eta and info.eta > utc then
        if is_made_up(tag) or call('HEXISTS', unacked, tag) == 1 then
            tag = make_up('?')
        end
        call('HSET', unacked, tag, wrap(raw, queue))
        call('ZADD', index, score_of(now + info.eta - utc), tag)
        call('ZADD', own .. 'eta.' .. queue, format('%.0f', info.eta), step .. ' ' .. tag)
        if not next_eta or info.eta < next_eta then
            next_eta = info.eta
        end
        n_scheduled = n_scheduled + 1
        return
    else
        attempts[n] = 1
        if info and info.is_redelivered then
            recall(n, tag, raw)
        end
        if is_made_up(tag) then
            tag = ''
        end
    end
    if is_revoking and info and info.id then
        local till = call('HGET', own .. 'revoked', info.id)
        revoked[n] = till and tonumber(till) > utc
    end
    tags[n], raws[n], steps[n], queues[n] = tag, raw, step, queue
end

local foreign = {} -- keys that are no lists

-- What one priority step gives: from each queue in turn, a few at a time.
local function take_step(s)
    local taken, active = {}, {}
    for i = 0, n_queues - 1 do
        local q = (turn + i) % n_queues
        taken[q] = {}
        if not closed[q] then
            active[#active + 1] = q
        end
    end
    local n_taken = 0
    while n_taken < limit and n_bytes < max_bytes and #active > 0 do
        local share = math.max(1, math.floor((limit - n_taken) / #active))
        local still = {}
        for _, q in ipairs(active) do
            local n = n_bytes < max_bytes and math.min(share, limit - n_taken, 16, #taken[q] + 1) or 0
            local key = KEYS[s * n_queues + q + 1]
            local got = n > 0 and pcall_redis('RPOP', key, n) or {}
            if got.err and find(got.err, 'WRONGTYPE', 1, true) then
                foreign[key] = true
            elseif got.err then
                call('RPOP', key, n) -- fails again, and ends the script: nothing was written yet
            end
            for _, raw in ipairs(got) do
                taken[q][#taken[q] + 1] = raw
                n_bytes = n_bytes + #raw
            end
            n_taken = n_taken + #got
            if #got == n then
                still[#still + 1] = q
            end
        end
        active = still
    end
    is_more = is_more or #active > 0
    limit = limit - n_taken
    return taken
end

local function deliver_step(taken, step)
    local from, k, is_left = turn, 1, true
    while is_left do
        is_left = false
        for i = 0, n_queues - 1 do
            local q = (from + i) % n_queues
            if taken[q][k] then
                is_left = true
                accept(taken[q][k], ARGV[14 + q], step)
                turn = (q + 1) % n_queues
            end
        end
        k = k + 1
    end
end

-- Those that are put by make room for others.
for s = 0, n_steps - 1 do
    local n_before
    repeat
        n_before = n_scheduled
        if limit > 0 and n_bytes < max_bytes then
            deliver_step(take_step(s), ARGV[14 + n_queues + s])
        else
            is_more = true
        end
        limit = limit + n_scheduled - n_before
    until n_scheduled == n_before or n_scheduled >= MAX_SCHEDULED
    is_more = is_more or n_scheduled >= MAX_SCHEDULED
end

-- Tags that are in use, by whomever, or twice among these.
local reply = {'ok', utc, next_eta or '', is_more and 1 or 0, turn}
if #tags > 0 then
    local known, seen = call('HMGET', unacked, unpack(tags)), {}
    local bodies, scores, entries = {}, {}, {}
    local score, serial = score_of(now), ARGV[11] * 1024
    for n, tag in ipairs(tags) do
        local queue = queues[n]
        if is_odd(tag) then
            call('HSET', odd, tag, raws[n])
        else
            if tag == '' or known[n] or seen[tag] then
                tag = make_up('?')
            end
            seen[tag] = true
            bodies[#bodies + 1], bodies[#bodies + 2] = tag, wrap(raws[n], queue)
            scores[#scores + 1], scores[#scores + 2] = score, tag
        end
        local what = attempts[n] == 1 and not crashes[n] and ' 1 0 '
            or ' ' .. attempts[n] .. ' ' .. (crashes[n] or 0) .. ' '
        entries[2 * n - 1], entries[2 * n] = tag, (serial + n) .. what .. steps[n] .. ' ' .. queue
        local at = 3 * n + 3
        reply[at], reply[at + 1] = raws[n], tag
        reply[at + 2] = steps[n] .. what .. (revoked[n] and '1 ' or '0 ') .. queue
    end
    if #bodies > 0 then
        call('HSET', unacked, unpack(bodies))
        call('ZADD', index, unpack(scores))
    end
    call('HSET', held, unpack(entries))
end

-- Reading the keys arms the server's tracking: whoever pushes there from now on wakes us.
if not is_more then
    local keys = {}
    for i = 1, n_steps * n_queues do
        if not foreign[KEYS[i]] and not closed[(i - 1) % n_queues] then
            keys[#keys + 1] = KEYS[i]
        end
    end
    if #keys > 0 and call('EXISTS', unpack(keys)) > 0 then
        reply[4] = 1
    end
end
return reply
