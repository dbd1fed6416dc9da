-- Remember that tasks are revoked, and forget those whose time is over.
--
--     ARGV  5 now  6 until then, both UTC in microseconds, then the ids

local key, till = own .. 'revoked', own .. 'revoked_until'
for _, id in ipairs(call('ZRANGEBYSCORE', till, '-inf', ARGV[5], 'LIMIT', 0, 1000)) do
    call('HDEL', key, id)
    call('ZREM', till, id)
end
for i = 7, #ARGV do
    local known = call('HGET', key, ARGV[i])
    if not known or tonumber(known) < tonumber(ARGV[6]) then
        call('HSET', key, ARGV[i], ARGV[6])
        call('ZADD', till, ARGV[6], ARGV[i])
    end
end
return #ARGV - 6
