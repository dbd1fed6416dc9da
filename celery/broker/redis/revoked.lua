-- One page of the revoked ids that begin with a prefix.
--
--     ARGV  9 now, UTC in microseconds  10 cursor  11 prefix
--
-- Returns {next cursor, id...}; the last cursor is '0', ids may come twice.

local page = call('HSCAN', own .. 'revoked', ARGV[10], 'COUNT', 2000)
local found = {page[1]}
for i = 1, #page[2], 2 do
    local id, till = page[2][i], tonumber(page[2][i + 1])
    if till > tonumber(ARGV[9]) and find(id, ARGV[11], 1, true) == 1 then
        found[#found + 1] = id
    end
end
return found
