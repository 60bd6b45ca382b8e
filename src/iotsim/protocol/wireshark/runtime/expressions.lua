-- Expressions, as Python has them ---------------------------------------------------------------

local function at(value, ...)
  for _, step in ipairs({...}) do
    if step == "_root" then
      while value.up do value = value.up end
    elseif step == "_" then
      value = value.up
    elseif type(value) == "table" and value.list then
      value = value.list[step + 1]
    elseif type(value) == "table" and value.fields then
      value = value.fields[step]
    else
      value = nil
    end
    if value == UNKNOWN then lost() end
    if value == nil then fail("there is no " .. tostring(step)) end
  end
  return value
end

local function num(value)
  if value == true then return 1 end
  if value == false then return 0 end
  if type(value) ~= "number" then fail("a number is needed") end
  return value
end

local function truth(value)
  if value == nil or value == NONE or value == false or value == 0 or value == "" then return false end
  return not (type(value) == "table" and value.list and #value.list == 0)
end

local function equal(a, b)
  if type(a) == "boolean" and type(b) == "number" then a = num(a) end
  if type(b) == "boolean" and type(a) == "number" then b = num(b) end
  return a == b
end

local function less(a, b)
  if type(a) == "string" and type(b) == "string" then return a < b end
  return num(a) < num(b)
end

local function divided(a, b)
  if num(b) == 0 then fail("a division by zero") end
  return num(a) / num(b)
end

local function floored(a, b) return math.floor(divided(a, b)) end

local function modulo(a, b)
  divided(a, b)
  return num(a) % num(b)
end

local function bits(a, b, keep)
  a, b = num(a), num(b)
  local result, place = 0, 1
  while not ((a == 0 or a == -1) and (b == 0 or b == -1)) do
    if keep(a % 2, b % 2) then result = result + place end
    a, b, place = math.floor(a / 2), math.floor(b / 2), place * 2
  end
  return keep(-a, -b) and result - place or result
end

local function band(a, b) return bits(a, b, function(x, y) return x + y == 2 end) end

local function bor(a, b) return bits(a, b, function(x, y) return x + y > 0 end) end

local function bxor(a, b) return bits(a, b, function(x, y) return x + y == 1 end) end

local function left(a, b) return num(a) * 2 ^ num(b) end

local function right(a, b) return math.floor(num(a) / 2 ^ num(b)) end

local function rounded(value, digits) return tonumber(string.format("%." .. digits .. "f", num(value))) end

local function size(value)
  if type(value) == "string" then return #value end
  if type(value) == "table" and value.list then return #value.list end
  fail("it has no length")
end

local function of_list(value, name)
  if type(value) ~= "table" or not value.list then fail("a list is needed") end
  local result = name == "sum" and 0 or nil
  for _, one in ipairs(value.list) do
    if name == "sum" then
      result = result + num(one)
    elseif result == nil or (name == "min") == less(one, result) then
      result = one
    end
  end
  if result == nil then fail("a list without elements") end
  return result
end

local function text(value)
  if type(value) == "boolean" then return value and "True" or "False" end
  if type(value) == "number" then
    return value == math.floor(value) and math.abs(value) < 1e15 and string.format("%d", value) or string.format("%.10g", value)
  end
  if type(value) == "string" then return (value:gsub("%z", "\\0")) end
  return ""
end

local function constant(value)
  return function() return value end
end
