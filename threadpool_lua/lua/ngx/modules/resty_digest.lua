-- The modules of lua-resty-string that compute digests, such as resty.sha256: theirs
-- need OpenSSL's functions in the process.

local api, name = ...

local concat, error, setmetatable, sub = table.concat, error, setmetatable, string.sub
local tostring, type = tostring, type
local spend, upcall = api.spend, api.upcall

local ALGORITHM = sub(name, #"resty." + 1)

local digest = {}
local digest_mt = { __index = digest, __metatable = false }

function digest.new()
  return setmetatable({ count = 0 }, digest_mt)
end

function digest.update(self, s)
  if type(s) == "number" then s = tostring(s) end
  if type(s) ~= "string" then
    error("bad argument #1 to 'update' (string expected, got " .. type(s) .. ")", 2)
  end
  self.count = self.count + 1
  self[self.count] = s
  return true
end

-- Returns the digest, as bytes.
function digest.final(self)
  local text = concat(self, "", 1, self.count)
  spend(#text)
  return upcall("digest", ALGORITHM, text)
end

function digest.reset(self)
  self.count = 0
  return true
end

return digest
