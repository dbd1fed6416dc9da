-- Remember that tasks are revoked, and forget those whose time is over.
--
--     ARGV  9 now  10 until then, both UTC in microseconds, then the ids

local key, till = own .. 'revoked', own .. 'revoked_until'
for _, id in ipairs(call('ZRANGEBYSCORE', till, '-inf', ARGV[9], 'LIMIT', 0, 1000)) do
    call('HDEL', key, id)
    call('ZREM', till, id)
end
for i = 11, #ARGV do
    local known = call('HGET', key, ARGV[i])
    if not known or tonumber(known) < tonumber(ARGV[10]) then
        call('HSET', key, ARGV[i], ARGV[10])
        call('ZADD', till, ARGV[10], ARGV[i])
    end
end
return #ARGV - 10
