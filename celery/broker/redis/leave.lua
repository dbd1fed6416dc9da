-- With limits.lua.
-- Give back what the consumer holds and does not know of, as if it had never been handed out; then it
-- goes on under a new name, under which nothing of a dead connection can reach it, or ends.
--
--     ARGV  9 its new name, '' = it ends, then the tags that it knows of
--
-- Returns {'ok' or 'lost', messages given back, whether there are more: call again}.

local till = call('ZSCORE', consumers, ARGV[5])
if not till then
    return {'lost', 0, 0}
end
local known = {}
for i = 10, #ARGV do
    known[ARGV[i]] = true
end
local n, is_more = give_back_from(held, 1, function(tag) return not known[tag] end)
if is_more then
    return {'ok', n, 1}
end
call('ZREM', consumers, ARGV[5])
call('DEL', own .. 'refresh.' .. ARGV[5])
if ARGV[9] ~= '' then
    call('ZADD', consumers, till, ARGV[9])
    if call('EXISTS', held) == 1 then
        call('RENAME', held, own .. 'held.' .. ARGV[9])
    end
end
return {'ok', n, 0}
