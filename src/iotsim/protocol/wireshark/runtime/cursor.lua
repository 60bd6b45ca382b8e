-- A message is read first, into items, and shown after that: what an alternative has read in vain
-- is forgotten, which a tree of Wireshark's cannot do. A reader is a function of a cursor `c` and the fields
-- around, `this`; it gives a value. Offsets are those in the datagram, from zero.

local NONE, UNKNOWN = {}, {}

local function fail(why) error({why = why}, 0) end

local function lost() error({lost = true}, 0) end

local function need(c, count)
  if count < 0 then fail("a negative length") end
  if c.at + count > c.stop then fail("the message ends early") end
end

local function put(c, field, from, to, value)
  local item = {field = field, from = from, to = to, value = value}
  if field then c.items[#c.items + 1] = item end
  return item
end

-- What is wrong is shown, and reading goes on; but an alternative that is tried is given up.
local function wrong(c, item, why)
  if c.trying > 0 then fail(why) end
  c.wrong[#c.wrong + 1] = {why = why, from = item.from, to = item.to}
end

-- A reader that fails leaves no trace.
local function try(c, read, this)
  local at, start, stop, items, count = c.at, c.start, c.stop, c.items, #c.items
  local word, bit, found = c.word, c.bit, #c.wrong
  c.trying = c.trying + 1
  local ok, value = pcall(read, c, this)
  c.trying = c.trying - 1
  if ok then return true, value end
  if type(value) == "table" and value.lost then error(value, 0) end
  c.at, c.start, c.stop, c.items, c.word, c.bit = at, start, stop, items, word, bit
  for index = #items, count + 1, -1 do items[index] = nil end
  for index = #c.wrong, found + 1, -1 do c.wrong[index] = nil end
  return false, value
end

-- A reader that sees no more than what is before `stop`.
local function inside(c, stop, read, this)
  local start, outer, items = c.start, c.stop, c.items
  c.start, c.stop = c.at, stop
  local ok, value = pcall(read, c, this)
  if not ok then
    if type(value) ~= "table" or not value.lost then error(value, 0) end
    c.items, value = items, UNKNOWN
  end
  c.start, c.stop = start, outer
  return value
end
