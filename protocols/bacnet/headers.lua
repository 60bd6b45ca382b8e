-- All that stands before the parameters of a service, as `read_headers` has it, and these as bytes.
--
-- Shows only: function origin result ttl data network_priority expecting_reply destination source hop_count
-- Shows only: network_message apdu invoke_id segmented_response_accepted max_segments max_apdu sequence_number
-- Shows only: more_follows window negative server reason service parameters
-- Types of origin: string
-- Types of reason: string int64
local MAX_SEGMENTS = {[0] = 0, 2, 4, 8, 16, 32, 64, 65}
local MAX_APDU = {[0] = 50, 128, 206, 480, 1024, 1476}
local REJECTS = {
  [0] = "OTHER", "BUFFER_OVERFLOW", "INCONSISTENT_PARAMETERS", "INVALID_PARAMETER_DATATYPE", "INVALID_TAG",
  "MISSING_REQUIRED_PARAMETER", "PARAMETER_OUT_OF_RANGE", "TOO_MANY_ARGUMENTS", "UNDEFINED_ENUMERATION",
  "UNRECOGNIZED_SERVICE",
}
local ABORTS = {
  [0] = "OTHER", "BUFFER_OVERFLOW", "INVALID_APDU_IN_THIS_STATE", "PREEMPTED_BY_HIGHER_PRIORITY_TASK",
  "SEGMENTATION_NOT_SUPPORTED", "SECURITY_ERROR", "INSUFFICIENT_SECURITY", "WINDOW_SIZE_OUT_OF_RANGE",
  "APPLICATION_EXCEEDED_REPLY_TIME", "OUT_OF_RESOURCES", "TSM_TIMEOUT", "APDU_TOO_LONG",
}
local UNCONFIRMED = 15 -- services, whose numbers come 256 after those of the confirmed ones

local function has(byte, bit) return math.floor(byte / bit) % 2 == 1 end

local function number(size)
  need(c, size)
  c.at = c.at + size
  return unsigned(c.raw, c.at - size, size)
end

local function field(path, size)
  local from = c.at
  local value = number(size)
  if path then add(path, from, c.at, value) end
  return value
end

local function rest(path)
  add(path, c.at, c.stop)
  c.at = c.stop
end

local function address(path)
  local from = c.at
  need(c, 3)
  local size = 3 + c.raw:byte(from + 3)
  need(c, size)
  below(c, add(path, from, from + size), function()
    add(path .. ".network", from, from + 2, unsigned(c.raw, from, 2))
    add(path .. ".address", from + 3, from + size)
  end)
  c.at = from + size
end

local function sequence()
  field("sequence_number", 1)
  field("window", 1)
end

local function apdu()
  local from = c.at
  local first = number(1)
  local kind = math.floor(first / 16)
  if kind > 7 then fail("no APDU has the type " .. kind) end
  local function bit(path, mask) add(path, from, from + 1, has(first, mask)) end
  add("apdu", from, c.at, kind)
  if kind == 0 then
    bit("segmented_response_accepted", 2)
    local limits = number(1)
    add("max_segments", c.at - 1, c.at, MAX_SEGMENTS[math.floor(limits / 16) % 8])
    add("max_apdu", c.at - 1, c.at, MAX_APDU[limits % 16] or limits % 16)
  end
  if kind ~= 1 then field("invoke_id", 1) end
  if kind == 4 then
    bit("negative", 2)
    bit("server", 1)
    sequence()
  elseif kind >= 6 then
    local reason = number(1)
    add("reason", c.at - 1, c.at, (kind == 6 and REJECTS or ABORTS)[reason] or reason)
    if kind == 7 then bit("server", 1) end
  else
    local segmented = (kind == 0 or kind == 3) and has(first, 8)
    if segmented then
      bit("more_follows", 4)
      sequence()
    end
    local service = number(1)
    add("service", c.at - 1, c.at, kind == 1 and service < UNCONFIRMED and service + 256 or service)
    if segmented then rest("data") end
  end
  if c.at < c.stop then
    if kind ~= 0 and kind ~= 1 and kind ~= 3 and kind ~= 5 then fail("octets are left over") end
    rest("parameters")
  end
end

local function npdu()
  if number(1) ~= 1 then fail("the version of the network layer is 1") end
  local from, control = c.at, number(1)
  add("network_priority", from, c.at, control % 4)
  add("expecting_reply", from, c.at, has(control, 4))
  if has(control, 0x20) then address("destination") end
  if has(control, 8) then address("source") end
  if has(control, 0x20) then field("hop_count", 1) end
  if has(control, 0x40) or has(control, 0x10) then fail("reserved bits are set") end
  if has(control, 0x80) then
    field("network_message", 1)
    rest("data")
  else
    apdu()
  end
end

local start = c.at
if number(1) ~= 0x81 then fail("no BACnet/IP: it begins by 0x81") end
local kind = field("function", 1)
if number(2) ~= c.stop - start then fail("another length than it says") end
if kind == 4 then
  need(c, 6)
  local host = table.concat({c.raw:byte(c.at + 1, c.at + 4)}, ".")
  add("origin", c.at, c.at + 6, string.format("%s:%d", host, unsigned(c.raw, c.at + 4, 2)))
  c.at = c.at + 6
end
if kind == 4 or kind >= 9 and kind <= 11 then
  npdu()
elseif kind == 0 then
  field("result", 2)
elseif kind == 5 then
  field("ttl", 2)
elseif kind ~= 2 and kind ~= 6 then
  rest("data")
end
if c.at < c.stop then fail("octets are left over") end
