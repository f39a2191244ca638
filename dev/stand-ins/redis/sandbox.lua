-- What a script of EVAL may touch: the functions of Lua that Redis allows, redis, cjson, KEYS and ARGV. Run once, by script.ts, with
-- the functions of `host`; gives the function that runs a script, each in an environment of its own. Refuses what Redis refuses:
-- globals that are not there, new ones, changes of a library; and texts with a NUL, which would be cut on their way out of here.
-- Lua here is 5.4, Redis's is 5.1: a float without a fraction (10 / 2) joined to a text by `..` reads 5.0 here and 5 there.

local function readonly(members, missing)
  return setmetatable({}, {
    __index = function(_, name)
      local member = members[name]
      if member == nil and missing then error(missing:format(name), 2) end
      return member
    end,
    __newindex = function() error('Attempt to modify a readonly table', 2) end,
    __metatable = false,
  })
end

local function pick(library, names)
  local members = {}
  for name in names:gmatch('%S+') do members[name] = library[name] end
  return members
end

local function whole(text)
  if text:find('\0', 1, true) then error('a text with a NUL is not known here', 0) end
  return text
end

local function send(...)
  local command = table.pack(...)
  if command.n == 0 then return { err = 'ERR Please specify at least one argument for this redis lib call' } end
  for at = 1, command.n do
    local given = command[at]
    if type(given) == 'number' then
      command[at] = ('%.17g'):format(given)
    elseif type(given) == 'string' then
      whole(given)
    else
      return { err = 'ERR Lua redis lib command arguments must be strings or integers' }
    end
  end
  return host.send(table.unpack(command))
end

local function call(...)
  local reply = send(...)
  if type(reply) == 'table' and reply.err then error(reply) end
  return reply
end

-- An error reply is caught as its text.
local function catch(...)
  local outcome = table.pack(pcall(...))
  local problem = outcome[2]
  if not outcome[1] and type(problem) == 'table' and problem.err then outcome[2] = problem.err end
  return table.unpack(outcome, 1, outcome.n)
end

local function json(work)
  return function(value)
    local made = work(value)
    if type(made) == 'string' then error(made, 0) end
    return made[1]
  end
end

local base = pick(_G, 'assert error getmetatable ipairs next pairs rawequal rawget select setmetatable tonumber type')
base.pcall = catch
base.unpack = table.unpack
base.tostring = function(value) return math.type(value) == 'float' and ('%.14g'):format(value) or tostring(value) end
base.string = readonly(pick(string, 'byte char find format gmatch gsub len lower match rep reverse sub upper'))
base.table = readonly(pick(table, 'concat insert remove sort'))
base.math = readonly(pick(math, 'abs acos asin atan ceil cos deg exp floor fmod huge log max min modf pi rad sin sqrt tan'))
base.cjson = readonly({ decode = json(host.decode), encode = json(host.encode), null = null })
base.redis = readonly({
  call = call,
  pcall = send,
  status_reply = function(text) return { ok = text } end,
  error_reply = function(text) return { err = text:gsub('^-', '') } end,
})
getmetatable('').__index = base.string
getmetatable('').__metatable = false

-- nil and false are a null reply, a list ends at its first nil, an error in it is the script's.
local function reply(value)
  if type(value) == 'string' then return whole(value) end
  if type(value) == 'number' then return value end
  if type(value) ~= 'table' then return value == true and 1 or null end
  if type(value.err) == 'string' then error(value) end
  if type(value.ok) == 'string' then return whole(value.ok) end
  local list = {}
  for at, member in ipairs(value) do list[at] = reply(member) end
  return list
end

return function(source, keys, args)
  local globals = setmetatable({ KEYS = keys, ARGV = args }, { __index = base })
  local environment = readonly(globals, "Script attempted to access nonexistent global variable '%s'")
  local script, flaw = load(source, '@user_script', 't', environment)
  if script == nil then return { err = 'ERR Error compiling script (new function): ' .. flaw } end
  local ran, result = pcall(function() return reply(script()) end)
  if ran then return result end
  if type(result) == 'userdata' then error(result) end -- a bug of the host, not of the script
  return { err = type(result) == 'table' and result.err or 'ERR ' .. tostring(result) }
end
