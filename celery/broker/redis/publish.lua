-- Alone, without the prelude: publish messages to one queue, and nothing else.
--
-- What a producer sends is this as a rule; settle.lua can do it, too, and does it for who also
-- settles.  To make the prelude's functions would be half of the server's work here.
--
--     ARGV  1 the handle's mark  2 the last ticket of these  3 the queue's key  4 bytes...
--
-- Returns what settle.lua returns, and keeps it as settle.lua does.

local mark_key, ticket = ARGV[1], ARGV[2]
local last, said = string.match(redis.call('GET', mark_key) or '', '^(%d+) (%u*)$')
if last and tonumber(last) >= tonumber(ticket) then
    return {last == ticket and said or '', 1, ''}
end

local reply = redis.pcall('LPUSH', ARGV[3], unpack(ARGV, 4))
local letter, trouble = 'D', ''
if type(reply) == 'table' and reply.err then
    if not string.find(reply.err, 'WRONGTYPE', 1, true) then
        return reply -- the server takes nothing, and nothing was written yet
    end
    letter, trouble = 'F', reply.err
end
said = string.rep(letter, #ARGV - 3)
redis.call('SET', mark_key, ticket .. ' ' .. said, 'EX', 86400)
return {said, 1, trouble}
