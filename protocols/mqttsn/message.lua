-- A message by its layout, as `read` has it: flags, fields of fixed size in bytes, what takes the rest.
local LAYOUTS = {
  [0x00] = {fixed = {{"gateway_id", 1}, {"duration", 2}}},
  [0x01] = {fixed = {{"radius", 1}}},
  [0x02] = {fixed = {{"gateway_id", 1}}, rest = "gateway_address"},
  [0x04] = {flags = {"will", "clean_session"}, fixed = {{"protocol_id", 1}, {"duration", 2}}, rest = "client_id"},
  [0x05] = {fixed = {{"return_code", 1}}},
  [0x06] = {},
  [0x07] = {flags = {"qos", "retain"}, rest = "will_topic", optional = true},
  [0x08] = {},
  [0x09] = {rest = "will_message"},
  [0x0A] = {fixed = {{"topic_id", 2}, {"message_id", 2}}, rest = "topic"},
  [0x0B] = {fixed = {{"topic_id", 2}, {"message_id", 2}, {"return_code", 1}}},
  [0x0C] = {
    flags = {"dup", "qos", "retain", "topic_id_type"},
    fixed = {{"topic_id", 2}, {"message_id", 2}},
    rest = "data",
  },
  [0x0D] = {fixed = {{"topic_id", 2}, {"message_id", 2}, {"return_code", 1}}},
  [0x0E] = {fixed = {{"message_id", 2}}},
  [0x0F] = {fixed = {{"message_id", 2}}},
  [0x10] = {fixed = {{"message_id", 2}}},
  [0x12] = {flags = {"dup", "qos", "topic_id_type"}, fixed = {{"message_id", 2}}, rest = "topic"},
  [0x13] = {flags = {"qos"}, fixed = {{"topic_id", 2}, {"message_id", 2}, {"return_code", 1}}},
  [0x14] = {flags = {"topic_id_type"}, fixed = {{"message_id", 2}}, rest = "topic"},
  [0x15] = {fixed = {{"message_id", 2}}},
  [0x16] = {rest = "client_id"},
  [0x17] = {},
  [0x18] = {fixed = {{"duration", 2}}, optional = true},
  [0x1A] = {flags = {"qos", "retain"}, rest = "will_topic", optional = true},
  [0x1B] = {fixed = {{"return_code", 1}}},
  [0x1C] = {rest = "will_message"},
  [0x1D] = {fixed = {{"return_code", 1}}},
}
local PUBLISH, PINGREQ, ENCAPSULATED = 0x0C, 0x16, 0xFE
local NORMAL, PREDEFINED, SHORT = 0, 1, 2
local BITS = {dup = 128, retain = 16, will = 8, clean_session = 4}
local TEXTS = {client_id = true, topic = true, will_topic = true}

local start, kind, stop = c.at, nil, nil
local found = {topic_id_type = NORMAL}

local function show_text(path, from, to) add(path, from, to, as_text(c.raw:sub(from + 1, to), "utf-8")) end

local function show_payload(path, from, to)
  local raw = c.raw:sub(from + 1, to)
  add(path, from, to, is_plain(raw) and raw or nil)
end

local function flag(name, byte)
  local value
  if name == "qos" then
    value = math.floor(byte / 32) % 4
    if value == 3 then value = -1 end
  elseif name == "topic_id_type" then
    value = byte % 4
    if value == 3 then fail("3 is reserved for the type of a topic id") end
  else
    value = math.floor(byte / BITS[name]) % 2 == 1
  end
  found[name] = value
  add(name, c.at, c.at + 1, value)
end

local function rest(name)
  local from = c.at
  if name == "topic" and found.topic_id_type ~= NORMAL then
    if stop - from ~= 2 then fail("a reference to a topic has 2 bytes") end
    if found.topic_id_type == PREDEFINED then
      add("topic_id", from, stop, unsigned(c.raw, from, 2))
      return
    end
  end
  if TEXTS[name] then
    if from < stop or kind ~= PINGREQ then show_text(name, from, stop) end
  elseif name ~= "gateway_address" then
    show_payload(name, from, stop)
  elseif from < stop then
    add(name, from, stop)
  end
end

local function body(layout)
  if c.at == stop and layout.optional then return end
  local size = layout.flags and 1 or 0
  for _, one in ipairs(layout.fixed or {}) do size = size + one[2] end
  if c.at + size > stop then fail("it ends within the message") end
  if layout.flags then
    local byte = c.raw:byte(c.at + 1)
    for _, name in ipairs(layout.flags) do flag(name, byte) end
    c.at = c.at + 1
  end
  for _, one in ipairs(layout.fixed or {}) do
    local name, to = one[1], c.at + one[2]
    if kind == PUBLISH and name == "topic_id" and found.topic_id_type == SHORT then
      show_text("topic", c.at, to)
    else
      add(name, c.at, to, unsigned(c.raw, c.at, one[2]))
    end
    c.at = to
  end
  if layout.rest then
    rest(layout.rest)
  elseif c.at < stop then
    fail("bytes are left over")
  end
end

need(c, 1)
local length = c.raw:byte(start + 1)
c.at = start + 1
if length == 1 then
  need(c, 2)
  length, c.at = unsigned(c.raw, c.at, 2), start + 3
end
stop = start + length
if stop > c.stop or c.at >= stop then fail("the length is " .. length .. ", and " .. c.stop - start .. " bytes are there") end
kind = c.raw:byte(c.at + 1)
if not LAYOUTS[kind] and kind ~= ENCAPSULATED then fail(string.format("no message has the type 0x%02x", kind)) end
add("kind", c.at, c.at + 1, kind)
c.at = c.at + 1
if kind == ENCAPSULATED then
  if c.at == stop then fail("it ends within the message") end
  add("radius", c.at, c.at + 1, c.raw:byte(c.at + 1) % 4)
  add("node", c.at + 1, stop)
  add("message", stop, c.stop)
else
  if stop ~= c.stop then fail("the length is " .. length .. ", and " .. c.stop - start .. " bytes are there") end
  body(LAYOUTS[kind])
end
c.at = c.stop
