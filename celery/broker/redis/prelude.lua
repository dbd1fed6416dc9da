-- What the scripts share.  docs/brokers.md has the keys.
--
--     ARGV  1 unacked  2 unacked_index  3 what Trawl's own keys begin with  4 what all keys begin with
--           5 consumer  6 a test's time for leases  7 and for etas, both in microseconds, '' = the
--           server's  8 the separator of priority steps
--
-- Keys are arguments: the server takes those under KEYS for what a client that wants to be woken reads.

local call, pcall_redis = redis.call, redis.pcall
local find, match, sub, byte, format = string.find, string.match, string.sub, string.byte, string.format

local unacked, index, own = ARGV[1], ARGV[2], ARGV[3]
local consumers, held, odd = own .. 'consumers', own .. 'held.' .. ARGV[5], own .. 'odd'
local TRY_S = 2592000 -- how long attempts are remembered of a message that nobody takes

local function list_key(queue, step)
    return ARGV[4] .. queue .. (step == '0' and '' or ARGV[8] .. step)
end

-- In microseconds, UTC; the first is what Kombu's scores go by.
local function read_clock()
    local time = call('TIME')
    return time[1] * 1000000 + time[2]
end

local function utc_of(now)
    return tonumber(ARGV[7]) or now
end

local function score_of(us)
    return format('%.6f', us / 1000000)
end

-- A name that no sender gave: '!...' for bytes that are no envelope, '?...' for a tag in use.
local function is_odd(tag)
    return byte(tag) == 33
end

local function is_made_up(tag)
    return byte(tag) == 33 or byte(tag) == 63
end

local function make_up(sign)
    return sign .. format('%.0f', call('INCR', own .. 'serial'))
end

-- As Kombu keeps it: [envelope, exchange, routing key].  The default exchange and the queue that it
-- came from, whatever it was published to: so it comes back to this queue, and to no other.
local endings = {}
local function wrap(raw, queue)
    local ending = endings[queue]
    if not ending then
        ending = ', "", ' .. cjson.encode(queue) .. ']'
        endings[queue] = ending
    end
    return '[' .. raw .. ending
end

local function unwrap(value)
    return value and match(value, '^%[(.*), "", ".*"%]$')
end

local function fetch(tag)
    if is_odd(tag) then
        return call('HGET', odd, tag)
    end
    return unwrap(call('HGET', unacked, tag))
end

local function drop(tag)
    if is_odd(tag) then
        call('HDEL', odd, tag)
    else
        call('HDEL', unacked, tag)
        call('ZREM', index, tag)
    end
end

local function try_key(tag, raw)
    return own .. 'try.' .. (is_made_up(tag) and redis.sha1hex(raw) or tag)
end

-- Where the quotes of a string that begins at `at` end.
local function end_of_string(raw, at)
    while true do
        at = find(raw, '"', at + 1, true)
        if not at then
            return nil
        end
        local n = 0
        while byte(raw, at - 1 - n) == 92 do
            n = n + 1
        end
        if n % 2 == 0 then
            return at
        end
    end
end

-- Say in an envelope's headers and delivery_info that it was delivered before, as Kombu does, and
-- leave every other byte alone: cjson would change big numbers and empty lists.
local function mark(raw)
    local places, path, key, at = {}, {}, nil, 1
    while true do
        at = find(raw, '["{}%[%]]', at)
        if not at then
            break
        end
        local c = byte(raw, at)
        if c == 34 then
            local last = end_of_string(raw, at)
            if not last then
                return raw
            end
            if find(raw, '^%s*:', last + 1) then
                key = last - at < 40 and sub(raw, at + 1, last - 1) or ''
                local place = places[#places]
                if key == 'redelivered' and place and place.depth == #path then
                    local _, _, from, to = find(raw, '^%s*:%s*()%a+()', last + 1)
                    place.is_there, place.from, place.to = true, from, to
                end
            end
            at = last
        elseif c == 123 or c == 91 then
            path[#path + 1] = key or ''
            if c == 123 and ((#path == 2 and key == 'headers')
                    or (#path == 3 and path[2] == 'properties' and key == 'delivery_info')) then
                places[#places + 1] = {at = at, depth = #path}
            end
            key = nil
        else
            if places[#places] and places[#places].depth == #path then
                places[#places].depth = -1
            end
            path[#path] = nil
        end
        at = at + 1
    end
    for i = #places, 1, -1 do
        local place = places[i]
        if place.from then
            raw = sub(raw, 1, place.from - 1) .. 'true' .. sub(raw, place.to)
        elseif not place.is_there then
            local comma = find(raw, '^%s*}', place.at + 1) and '' or ', '
            raw = sub(raw, 1, place.at) .. '"redelivered": true' .. comma .. sub(raw, place.at + 1)
        end
    end
    return raw
end

-- A message that was handed out `attempt` times, on its way back to a queue; returns its bytes.
local function remember(tag, raw, attempt, crashes, seconds)
    if attempt <= 0 and crashes <= 0 then
        return raw
    end
    if not is_odd(tag) then
        raw = mark(raw)
    end
    call('SET', try_key(tag, raw), attempt .. ' ' .. crashes, 'EX', TRY_S + (seconds or 0))
    return raw
end

-- What a held message's entry says.
local function read_entry(entry)
    local serial, attempt, crashes, step, queue = match(entry, '^(%d+) (%d+) (%d+) (%d+) (.*)$')
    return {serial = tonumber(serial), attempt = tonumber(attempt), crashes = tonumber(crashes),
        step = step, queue = queue}
end

-- Back to the front of their lists, the first one that was taken foremost.
local function give_back(items)
    table.sort(items, function(a, b) return a.serial > b.serial end)
    for _, item in ipairs(items) do
        local raw = remember(item.tag, item.raw, item.attempt, item.crashes)
        call('RPUSH', list_key(item.queue, item.step), raw)
    end
end

-- A message in a gate's line: "step length-of-tag tag queue".
local function read_place(member)
    local step, n, rest = match(member, '^(%d+) (%d+) (.*)$')
    return step, sub(rest, 1, n), sub(rest, n + 2)
end

-- In limits.lua, where a script has it: release_limits(tag, raw, how, queue).
local release_limits = function() end

-- Take from `key` (a hash of held messages) what `is_wanted` says, some hundreds at most, and give
-- it back, its attempt counted or not.  Returns how many, and whether more may be left.
local function give_back_from(key, n_uncounted, is_wanted)
    local cursor, items = '0', {}
    repeat
        local page = call('HSCAN', key, cursor, 'COUNT', 512)
        cursor = page[1]
        for i = 1, #page[2], 2 do
            local tag = page[2][i]
            if (not is_wanted or is_wanted(tag)) and call('HDEL', key, tag) == 1 then
                local item = read_entry(page[2][i + 1])
                item.tag, item.raw = tag, fetch(tag)
                item.attempt = item.attempt - n_uncounted
                release_limits(tag, item.raw, n_uncounted > 0 and 'release' or 'again', item.queue)
                drop(tag)
                if item.raw then -- else Kombu has restored it
                    items[#items + 1] = item
                end
            end
        end
    until cursor == '0' or #items >= 512
    give_back(items)
    return #items, cursor ~= '0'
end
