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

-- Single values ---------------------------------------------------------------------------------

local function unsigned(raw, from, count, little)
  local value = 0
  for index = 0, count - 1 do
    value = value * 256 + raw:byte(from + 1 + (little and count - 1 - index or index))
  end
  return value
end

local function integer(count, little, signed, field)
  return function(c)
    need(c, count)
    local from = c.at
    local value, shown = unsigned(c.raw, from, count, little), nil
    if signed and value >= 2 ^ (8 * count - 1) then value = value - 2 ^ (8 * count) end
    if field and count > 8 then
      shown = nil
    elseif field and count > 6 then
      local range = c.tvb(from, count)
      if signed then
        shown = little and range:le_int64() or range:int64()
      else
        shown = little and range:le_uint64() or range:uint64()
      end
    else
      shown = value
    end
    c.at = from + count
    put(c, field, from, c.at, shown)
    return value
  end
end

local function half(raw)
  local sign = raw >= 0x8000 and -1 or 1
  local exponent, fraction = math.floor(raw / 1024) % 32, raw % 1024
  if exponent == 31 then return fraction == 0 and sign * math.huge or 0 / 0 end
  if exponent == 0 then return sign * fraction * 2 ^ -24 end
  return sign * (1 + fraction / 1024) * 2 ^ (exponent - 15)
end

local function float(count, little, field)
  return function(c)
    need(c, count)
    local from, value = c.at, nil
    if count == 2 then
      value = half(unsigned(c.raw, from, 2, little))
    else
      local range = c.tvb(from, count)
      value = little and range:le_float() or range:float()
    end
    c.at = from + count
    put(c, field, from, c.at, value)
    return value
  end
end

local function flag(field)
  return function(c)
    need(c, 1)
    local value = c.raw:byte(c.at + 1) ~= 0
    c.at = c.at + 1
    put(c, field, c.at - 1, c.at, value)
    return value
  end
end

local function varint(zigzag, field)
  return function(c)
    local from, value, place = c.at, 0, 1
    while true do
      need(c, 1)
      local byte = c.raw:byte(c.at + 1)
      c.at = c.at + 1
      value, place = value + byte % 128 * place, place * 128
      if byte < 128 then break end
    end
    if zigzag then
      value = value % 2 == 0 and value / 2 or -(value + 1) / 2
    end
    put(c, math.abs(value) < 2 ^ 63 and field, from, c.at, value)
    return value
  end
end

-- Bits of a word; a field with a mask reads its value itself.
local function bitfield(count, signed, is_flag, field, masked)
  return function(c)
    local first, last = math.floor(c.bit / 8), math.floor((c.bit + count - 1) / 8)
    local from, value = c.word + first, 0
    for index = 0, count - 1 do
      local place = c.bit + index
      local byte = c.raw:byte(c.word + math.floor(place / 8) + 1)
      value = value * 2 + math.floor(byte / 2 ^ (7 - place % 8)) % 2
    end
    if signed and value >= 2 ^ (count - 1) then value = value - 2 ^ count end
    c.bit = c.bit + count
    if is_flag then value = value ~= 0 end
    local shown = value
    if masked then shown = nil end
    put(c, field, from, c.word + last + 1, shown).told = value
    return value
  end
end

local function word(count, read)
  return function(c, this)
    need(c, count)
    local outer, bit = c.word, c.bit
    c.word, c.bit = c.at, 0
    local value = read(c, this)
    c.at, c.word, c.bit = c.word + count, outer, bit
    return value
  end
end

local function skip_bits(count)
  return function(c)
    c.bit = c.bit + count
    return NONE
  end
end

local function bytes(length, field)
  return function(c, this)
    local count = length and num(length(this, c)) or c.stop - c.at
    need(c, count)
    local from = c.at
    c.at = from + count
    put(c, field, from, c.at)
    return c.raw:sub(from + 1, c.at)
  end
end

local function is_utf8(value)
  local index, count = 1, #value
  while index <= count do
    local a, b, c, d = value:byte(index, index + 3)
    local function next_is(byte, least, most) return byte and byte >= (least or 128) and byte <= (most or 191) end
    if a < 128 then
      index = index + 1
    elseif a >= 194 and a < 224 and next_is(b) then
      index = index + 2
    elseif a >= 224 and a < 240 and next_is(b, a == 224 and 160, a == 237 and 159) and next_is(c) then
      index = index + 3
    elseif a >= 240 and a < 245 and next_is(b, a == 240 and 144, a == 244 and 143) and next_is(c) and next_is(d) then
      index = index + 4
    else
      return false
    end
  end
  return true
end

local function as_text(raw, encoding)
  if encoding == "iso8859-1" then
    return (raw:gsub("[\128-\255]", function(one)
      return string.char(192 + math.floor(one:byte() / 64), 128 + one:byte() % 64)
    end))
  end
  if encoding == "ascii" and raw:find("[\128-\255]") then fail("no ASCII text") end
  if not is_utf8(raw) then fail("no UTF-8 text") end
  return raw
end

local function characters(read, encoding, field)
  return function(c, this)
    local from = c.at
    local value = as_text(read(c, this), encoding)
    put(c, field, from, c.at, text(value))
    return value
  end
end

local function is_plain(raw) return is_utf8(raw) and not raw:find("[%z\1-\8\11\12\14-\31\127]") end

-- Text where it is UTF-8 without control characters, else bytes.
local function payload(read, as_string, as_bytes)
  return function(c, this)
    local from = c.at
    local value = read(c, this)
    if is_plain(value) then
      put(c, as_string, from, c.at, text(value))
    else
      put(c, as_bytes, from, c.at)
    end
    return value
  end
end

-- Bytes that another dissector of Wireshark's shows.
local function foreign(read, name, field)
  return function(c, this)
    local from = c.at
    local value = read(c, this)
    put(c, field, from, c.at).dissector = name
    return UNKNOWN
  end
end

local function named(read, names)
  return function(c, this)
    local value = read(c, this)
    local name = names[value]
    if name == nil then return value end
    return name
  end
end

local function mapped(read, names)
  return function(c, this)
    local value = names[read(c, this)]
    if value == nil then fail("a number without a meaning") end
    return value
  end
end

-- Names with a mask each; `masks` are {name, mask, field, masked}.
local function flags(read, masks, field, little)
  return function(c, this)
    local from = c.at
    local bit = c.word and math.floor(c.bit / 8)
    local value = read(c, this)
    local to = c.at
    if bit then from, to = c.word + bit, c.word + math.floor((c.bit - 1) / 8) + 1 end
    local found, item = {}, put(c, field, from, to, value)
    item.kids = {}
    for index, mask in ipairs(masks) do
      found[mask[1]] = band(value, mask[2]) == mask[2]
      local shown = found[mask[1]]
      if mask[4] then shown = nil end
      item.kids[index] = {field = mask[3], from = from, to = to, value = shown, little = little}
    end
    return {fields = found}
  end
end

local function adapted(read, decode, field)
  return function(c, this)
    local from = c.at
    local value = decode(read(c, this))
    put(c, field, from, c.at, value)
    return value
  end
end

local function computed(value, field)
  return function(c, this)
    local found = value(this, c)
    if field and found ~= NONE then put(c, field, c.at, c.at, found).generated = true end
    return found
  end
end

-- A value of whatever type, as text.
local function described(value, field)
  return function(c, this)
    local found = value(this, c)
    if type(found) ~= "table" then put(c, field, c.at, c.at, text(found)).generated = true end
    return found
  end
end

local function nothing() return NONE end

local function the_end(c)
  if c.at < c.stop then fail("there is more than there should be") end
  return NONE
end

local function refuse() fail("this is refused here") end

local function check(test)
  return function(c, this)
    if not truth(test(this, c)) then wrong(c, {from = c.at, to = c.at}, "a check does not hold") end
    return NONE
  end
end

local function always(read, value)
  return function(c, this)
    local from = c.at
    local found = read(c, this)
    if not equal(found, value) then wrong(c, {from = from, to = c.at}, "this is always " .. text(value)) end
    return found
  end
end

-- What cannot be said here: its bytes. Where it ends is not known if it has no size.
local function unknown(count, field)
  return function(c)
    if count then
      need(c, count)
      put(c, field, c.at, c.at + count)
      c.at = c.at + count
      return UNKNOWN
    end
    if c.word then lost() end
    if c.at < c.stop then put(c, field, c.at, c.stop) end
    c.at = c.stop
    lost()
  end
end

-- What a Native brings of its own: `add(path, from, to, value)` shows a field; bytes have no value.
local function native(read, fields)
  return function(c, this)
    return read(c, this, function(path, from, to, value)
      local kind = value == nil and "bytes" or type(value)
      put(c, fields[path] and fields[path][kind], from, to, kind == "string" and text(value) or value)
    end)
  end
end

-- Groups ----------------------------------------------------------------------------------------

-- `members` are {name, reader, kind}; a kind is "flat", or a table of what a Length says.
local function struct(members, field, selected)
  return function(c, around)
    local this = {fields = {}, up = around}
    local start, items, item, lengths = c.at, c.items, nil, {}
    if field then
      local from = c.word and c.word + math.floor(c.bit / 8) or start
      item = put(c, field, from, nil)
      item.kids = {}
      c.items = item.kids
    end
    for _, member in ipairs(members) do
      local from = c.at
      local value = member[2](c, this)
      if member[3] == "flat" and type(value) == "table" then
        for name, one in pairs(value.fields or {}) do this.fields[name] = one end
      elseif member[3] ~= "flat" and member[3] then
        lengths[#lengths + 1] = {member[3], value, from, c.at}
      end
      if member[1] then this.fields[member[1]] = value end
    end
    for _, length in ipairs(lengths) do
      local expected = c.at - (length[1].rest and length[4] or start) + length[1].adjust
      if length[2] ~= expected then
        wrong(c, {from = length[3], to = length[4]}, "the length is wrong: it should be " .. text(expected))
      end
    end
    if item then
      item.to = c.word and c.word + math.floor((c.bit + 7) / 8) or c.at
      c.items = items
    end
    if selected then return this.fields[selected] end
    return this
  end
end

local function sequence(members, label)
  return function(c, around)
    local this, items = {list = {}, fields = {}, up = around}, c.items
    local item = {label = label, from = c.at, kids = {}}
    items[#items + 1] = item
    c.items = item.kids
    for index, member in ipairs(members) do
      local before = #c.items
      local value = member[2](c, this)
      for place = before + 1, #c.items do c.items[place].index = index - 1 end
      this.list[index] = value
      if member[1] then this.fields[member[1]] = value end
    end
    item.to = c.at
    c.items = items
    return this
  end
end

local function switch(key, cases, default)
  return function(c, this)
    local found = key(this, c)
    if type(found) == "boolean" then found = num(found) end
    return (cases[found] or default)(c, this)
  end
end

local function choose(branches)
  return function(c, this)
    for _, branch in ipairs(branches) do
      if truth(branch[1](this, c)) then return branch[2](c, this) end
    end
    return NONE
  end
end

local function select_first(readers)
  return function(c, this)
    for _, read in ipairs(readers) do
      local ok, value = try(c, read, this)
      if ok then return value end
    end
    fail("no alternative fits")
  end
end

local function array(read, count, label)
  return function(c, this)
    local many = count and num(count(this, c)) or math.huge
    if many < 0 then fail("a negative count") end
    local values, items, empty = {}, c.items, 0
    local item = {label = label, from = c.at, kids = {}}
    items[#items + 1] = item
    c.items = item.kids
    while #values < many do
      local from, before, bit, ok, value = c.at, #c.items, c.bit, true, nil
      if count then
        value = read(c, this)
      else
        ok, value = try(c, read, this)
      end
      if not ok then break end
      values[#values + 1] = value
      for index = before + 1, #c.items do c.items[index].index = #values - 1 end
      empty = c.at == from and c.bit == bit and empty + 1 or 0
      if empty > 1024 then fail("elements of no bytes") end
    end
    item.to, item.count = c.at, #values
    c.items = items
    return {list = values}
  end
end

-- Data within data ------------------------------------------------------------------------------

local function prefixed(length, less_by, read)
  return function(c, this)
    local count = num(length(c, this)) - less_by
    need(c, count)
    local stop = c.at + count
    local value = inside(c, stop, read, this)
    c.at = stop
    return value
  end
end

local function window(length, read)
  return function(c, this)
    local count = num(length(this, c))
    need(c, count)
    local stop = c.at + count
    local value = inside(c, stop, read, this)
    c.at = stop
    return value
  end
end

local function padded(length, aligned, read)
  return function(c, this)
    local from, count = c.at, num(length(this, c))
    if count < 0 then fail("a negative length") end
    local value = read(c, this)
    local stop = aligned and c.at + -(c.at - from) % count or from + count
    if c.at > stop then fail("it is longer than its place") end
    need(c, stop - c.at)
    c.at = stop
    return value
  end
end

local function terminated(term, read)
  return function(c, this)
    local stop = c.raw:find(term, c.at + 1, true)
    if not stop or stop > c.stop then fail("it does not end") end
    local value = inside(c, stop - 1, read, this)
    c.at = stop
    return value
  end
end

local function stripped(pad, read)
  return function(c, this)
    local stop, last = c.stop, c.stop
    while last > c.at and c.raw:sub(last, last) == pad do last = last - 1 end
    local value = inside(c, last, read, this)
    c.at = stop
    return value
  end
end

local function raw_copy(read, data, length, offset1, offset2, field)
  return function(c, this)
    local from, items, item = c.at, c.items, put(c, field, c.at, nil)
    item.kids = {}
    if field then c.items = item.kids end
    local copy = put(c, data, from, from)
    local ok, value = pcall(read, c, this)
    copy.to, item.to = c.at, c.at
    if not ok then
      table.remove(item.kids, 1) -- whose end is not known
      error(value, 0)
    end
    local found = {value = value, data = c.raw:sub(from + 1, c.at)}
    found.offset1, found.offset2, found.length = from - c.start, c.at - c.start, c.at - from
    for name, one in pairs({offset1 = offset1, offset2 = offset2, length = length}) do
      put(c, one, c.at, c.at, found[name]).generated = true
    end
    c.items = items
    return {fields = found}
  end
end

-- Checksums -------------------------------------------------------------------------------------

local function crc16_ccitt(data)
  local crc = 0xFFFF
  for index = 1, #data do
    crc = bxor(crc, data:byte(index) * 256)
    for _ = 1, 8 do
      crc = crc * 2
      if crc >= 0x10000 then crc = bxor(crc - 0x10000, 0x1021) end
    end
  end
  return crc
end

local function reflected(data, crc, polynomial)
  for index = 1, #data do
    crc = bxor(crc, data:byte(index))
    for _ = 1, 8 do
      local odd = crc % 2 == 1
      crc = math.floor(crc / 2)
      if odd then crc = bxor(crc, polynomial) end
    end
  end
  return crc
end

local function crc16_modbus(data) return reflected(data, 0xFFFF, 0xA001) end

local function crc32(data) return 0xFFFFFFFF - reflected(data, 0xFFFFFFFF, 0xEDB88320) end

local function sum8(data)
  local sum = 0
  for index = 1, #data do sum = sum + data:byte(index) end
  return sum % 256
end

local function xor8(data)
  local sum = 0
  for index = 1, #data do sum = bxor(sum, data:byte(index)) end
  return sum
end

local function checksum(read, compute, start)
  return function(c, this)
    local from, first = c.at, c.start + num(start(this, c))
    if first < c.start or first > from then fail("a checksum begins after itself") end
    local found, expected = read(c, this), compute(c.raw:sub(first + 1, from))
    if found ~= expected then
      wrong(c, {from = from, to = c.at}, string.format("the checksum is wrong: it should be 0x%x", expected))
    end
    return found
  end
end

-- The dissector ---------------------------------------------------------------------------------

local function last_of(item)
  local last = item.to or item.from
  for _, kid in ipairs(item.kids or {}) do last = math.max(last, last_of(kid)) end
  return last
end

-- Makes of a number the values of fields that have 64 bits.
local wide = {}

local function show(tvb, pinfo, tree, items)
  for _, item in ipairs(items) do
    local range, added = tvb:range(item.from, last_of(item) - item.from), nil
    if item.label then
      added = tree:add(range, item.label)
      if item.count then added:append_text(": " .. item.count .. (item.count == 1 and " element" or " elements")) end
    elseif item.value ~= nil then
      local make = type(item.value) == "number" and wide[item.field]
      added = tree:add(item.field, range, make and make(item.value) or item.value)
    elseif item.little then
      added = tree:add_le(item.field, range)
    else
      added = tree:add(item.field, range)
    end
    if item.index then added:prepend_text("[" .. item.index .. "] ") end
    if item.generated then added:set_generated() end
    if item.dissector and range:len() > 0 then
      pcall(function() Dissector.get(item.dissector):call(range:tvb(), pinfo, added) end)
    end
    if item.kids then show(tvb, pinfo, added, item.kids) end
  end
end

local function read_all(tvb, read, strict)
  local raw = tvb:len() > 0 and tvb:raw() or ""
  local c = {tvb = tvb, raw = raw, at = 0, start = 0, stop = #raw, items = {}, wrong = {}, trying = 0}
  local top = c.items
  local ok, why = pcall(read, c, nil)
  c.items = top
  if not ok and not (type(why) == "table" and why.lost) then
    c.failed = type(why) == "table" and why.why or tostring(why)
  elseif ok and strict and c.at < c.stop then
    wrong(c, {from = c.at, to = c.stop}, "bytes are left over after the message")
  end
  return c
end

local function told(c, item, names)
  local value = item.told
  if value == nil then value = item.value end
  if value == nil and not item.kids then
    return (c.raw:sub(item.from + 1, item.to):gsub(".", function(one) return string.format("%02x", one:byte()) end))
  end
  if type(value) == "userdata" then return tostring(value) end
  return names and names[value] or text(value)
end

local function summary(c, parts)
  local texts = {}
  local function find(items, field)
    for _, item in ipairs(items) do
      if item.field == field then return item end
      local found = item.kids and find(item.kids, field)
      if found then return found end
    end
  end
  for index, part in ipairs(parts) do
    texts[index] = part
    if type(part) == "table" then
      texts[index] = ""
      for _, field in ipairs(part) do
        local item = find(c.items, field[1])
        if item then texts[index] = told(c, item, field[2]) end
      end
    end
  end
  return table.concat(texts)
end
