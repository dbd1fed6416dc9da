-- One page of the queues' names, from Kombu's tables of bindings.
--
--     ARGV  9 cursor  10 what the tables begin with
--
-- Returns {next cursor, name...}; the last cursor is '0', names may come twice.

local page = call('SCAN', ARGV[9], 'MATCH', '*_kombu.binding.*', 'COUNT', 2000)
local found = {page[1]}
for _, key in ipairs(page[2]) do
    local members = find(key, ARGV[10] .. '.', 1, true) == 1 and pcall_redis('SMEMBERS', key) or {}
    for _, member in ipairs(members) do
        local at, last = 0, nil
        repeat
            at, last = find(member, ARGV[8], at + 1, true), at
        until not at
        local name = sub(member, last + #ARGV[8])
        -- Mailboxes and event queues come and go with their process.
        if last > 0 and not find(name, '%.pidbox$') and not find(name, '^celeryev%.') then
            found[#found + 1] = name
        end
    end
end
return found
