-- Single values ---------------------------------------------------------------------------------

local function unsigned(raw, from, count, little)
  local value = count > 6 and 0.0 or 0 -- integers of 64 bits, which newer versions have, would wrap
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

-- What a Native brings of its own: `add(path, from, to, value)` shows a field; without a value it is bytes,
-- or a group, where that is declared. What it does not return, expressions do not know.
local function native(read, fields)
  return function(c, this)
    local value = read(c, this, function(path, from, to, value)
      local known, kind = fields[path] or {}, type(value)
      if value == nil then kind = known.bytes and "bytes" or "group" end
      return put(c, known[kind], from, to, kind == "string" and text(value) or value)
    end)
    if value == nil then return UNKNOWN end
    return value
  end
end

-- Shows what `read` adds below an item; a number is its index.
local function below(c, item, read, index)
  local items = c.items
  item.kids, item.index = {}, index
  c.items = item.kids
  read()
  c.items = items
end
