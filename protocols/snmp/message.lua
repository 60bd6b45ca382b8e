-- Messages in BER (X.690), as `read_message` has them.
--
-- Types of bindings.value: int64 string bytes uint64
local SEQUENCE, INTEGER, OCTETS, NULL, OID, TRAP, TRAP_V1 = 0x30, 0x02, 0x04, 0x05, 0x06, 0xA7, 0xA4
local IPADDRESS, COUNTER32, GAUGE32, TIMETICKS, OPAQUE, COUNTER64 = 0x40, 0x41, 0x42, 0x43, 0x44, 0x46
local PDUS = {[0xA0] = 1, [0xA1] = 1, [0xA2] = 1, [0xA3] = 1, [0xA4] = 1, [0xA5] = 2, [0xA6] = 2, [0xA7] = 2, [0xA8] = 2}
local GETBULK = 0xA5
local RANGES = {
  [INTEGER] = {-2 ^ 31, 2 ^ 31 - 1},
  [COUNTER32] = {0, 2 ^ 32 - 1},
  [GAUGE32] = {0, 2 ^ 32 - 1},
  [TIMETICKS] = {0, 2 ^ 32 - 1},
  [COUNTER64] = {0, 2 ^ 64 - 1},
}
local VALUES = {[OCTETS] = 1, [NULL] = 1, [OID] = 1, [IPADDRESS] = 1, [OPAQUE] = 1, [0x80] = 2, [0x81] = 2, [0x82] = 2}
for tag in pairs(RANGES) do VALUES[tag] = tag == COUNTER64 and 2 or 1 end

-- A tag, and where its contents begin and end.
local function header(at, limit)
  if at + 2 > limit then fail("it ends within a tag or a length") end
  local tag, length = c.raw:byte(at + 1, at + 2)
  local start = at + 2
  if length > 127 then
    local count = length - 128
    if count == 0 then fail("a length of the indefinite form") end
    if start + count > limit then fail("it ends within a length") end
    length, start = unsigned(c.raw, start, count), start + count
  end
  if length > limit - start then fail("more octets announced than there are") end
  return tag, start, start + length
end

local function within(at, limit, tag)
  local found, start, stop = header(at, limit)
  if found ~= tag then fail(string.format("a tag 0x%02x where 0x%02x must be", found, tag)) end
  return start, stop
end

local function number_in(tag, start, stop)
  if stop == start or stop - start > 16 then fail("a number of " .. stop - start .. " octets") end
  local value = unsigned(c.raw, start, stop - start)
  if c.raw:byte(start + 1) > 127 then
    value = -1 - unsigned(c.raw:sub(start + 1, stop):gsub(".", function(one) return string.char(255 - one:byte()) end), 0, stop - start)
  end
  local range = RANGES[tag]
  if value < range[1] or value > range[2] then fail("a number beyond its range") end
  return value
end

local function oid_in(start, stop)
  if stop == start or stop - start > 5 * 128 then fail("an object identifier of " .. stop - start .. " octets") end
  local numbers, number, ended = {}, 0, true
  for at = start, stop - 1 do
    local octet = c.raw:byte(at + 1)
    if ended and octet == 128 then fail("a sub-identifier with leading zeros") end
    number, ended = number * 128 + octet % 128, octet < 128
    if ended then
      if #numbers == 0 then
        numbers[1] = math.min(math.floor(number / 40), 2)
        number = number - 40 * numbers[1]
      end
      if number > 2 ^ 32 - 1 then fail("a sub-identifier that is too large") end
      numbers[#numbers + 1] = string.format("%.0f", number)
      number = 0
    end
  end
  if not ended then fail("an object identifier that ends within a sub-identifier") end
  if #numbers > 128 then fail("an object identifier of more than 128 numbers") end
  numbers[1] = string.format("%d", numbers[1])
  return table.concat(numbers, ".")
end

-- A value of one of the types; `from` is where it is shown from.
local function show_value(path, tag, from, start, stop)
  if tag == COUNTER64 then
    number_in(tag, start, stop)
    while stop - start > 8 do
      if c.raw:byte(start + 1) > 0 then fail("a number beyond its range") end
      start = start + 1
    end
    local high = math.max(stop - 4, start)
    add(path, from, stop, UInt64.new(unsigned(c.raw, high, stop - high), unsigned(c.raw, start, high - start)))
  elseif RANGES[tag] then
    add(path, from, stop, number_in(tag, start, stop))
  elseif tag == OID then
    add(path, from, stop, oid_in(start, stop))
  elseif tag == IPADDRESS then
    if stop - start ~= 4 then fail("an address of " .. stop - start .. " octets") end
    add(path, from, stop, table.concat({c.raw:byte(start + 1, stop)}, "."))
  elseif tag == OPAQUE then
    add(path, start, stop)
  elseif tag == OCTETS then
    local octets = c.raw:sub(start + 1, stop)
    if is_plain(octets) then
      add(path, from, stop, octets)
    else
      add(path, start, stop)
    end
  elseif start < stop then
    fail("a value where none is")
  end
end

local limit, version

local function field(path, tag)
  local start, stop = within(c.at, limit, tag)
  show_value(path, tag, c.at, start, stop)
  c.at = stop
end

local function binding(stop)
  local start, after = within(c.at, stop, OID)
  add("bindings.oid", c.at, after, oid_in(start, after))
  local tag, from, to = header(after, stop)
  if not VALUES[tag] or VALUES[tag] > version then fail(string.format("no value has the tag 0x%02x here", tag)) end
  if to ~= stop then fail("octets are left over") end
  add("bindings.type", after, after + 1, tag)
  show_value("bindings.value", tag, after + 1, from, to)
end

local function bindings()
  local start, stop = within(c.at, limit, SEQUENCE)
  if stop ~= limit then fail("octets are left over") end
  local index = 0
  c.at = start
  while c.at < stop do
    local from, after = within(c.at, stop, SEQUENCE)
    local item = add("bindings", c.at, after)
    c.at = from
    below(c, item, function() binding(after) end, index)
    c.at, index = after, index + 1
  end
end

c.at, limit = within(c.at, c.stop, SEQUENCE)
local start, stop = within(c.at, limit, INTEGER)
version = number_in(INTEGER, start, stop) + 1
if version ~= 1 and version ~= 2 then fail("neither v1 (0) nor v2c (1)") end
add("version", c.at, stop, version)
c.at = stop
start, stop = within(c.at, limit, OCTETS)
add("community", c.at, stop, as_text(c.raw:sub(start + 1, stop), "iso8859-1"))
c.at = stop
local tag
tag, start, stop = header(c.at, limit)
if stop ~= limit then fail("octets are left over") end
if not PDUS[tag] or PDUS[tag] > version or tag == TRAP_V1 and version == 2 then fail(string.format("no PDU has the tag 0x%02x here", tag)) end
add("pdu", c.at, start, tag == TRAP_V1 and TRAP or tag)
c.at = start
if tag == TRAP_V1 then
  field("enterprise", OID)
  field("agent_addr", IPADDRESS)
  field("generic_trap", INTEGER)
  field("specific_trap", INTEGER)
  field("time_stamp", TIMETICKS)
else
  field("request_id", INTEGER)
  field(tag == GETBULK and "non_repeaters" or "error", INTEGER)
  field(tag == GETBULK and "max_repetitions" or "index", INTEGER)
end
bindings()
c.at = limit
