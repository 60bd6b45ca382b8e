-- Options and payload (RFC 7252, section 3.1), as `read_rest` has them.
local OPTIONS = {
  [1] = {"if_match", 0, 8, "opaque", true},
  [3] = {"uri_host", 1, 255, "text"},
  [4] = {"etag", 1, 8, "opaque", true},
  [5] = {"if_none_match", 0, 0, "empty"},
  [6] = {"observe", 0, 3, "uint"},
  [7] = {"uri_port", 0, 2, "uint"},
  [8] = {"location_path", 0, 255, "text", true},
  [12] = {"content_format", 0, 2, "uint"},
  [14] = {"max_age", 0, 4, "uint"},
  [15] = {"query", 0, 255, "text", true},
  [16] = {"hop_limit", 1, 1, "uint"},
  [17] = {"accept", 0, 2, "uint"},
  [20] = {"location_query", 0, 255, "text", true},
  [23] = {"block2", 0, 3, "block"},
  [27] = {"block1", 0, 3, "block"},
  [28] = {"size2", 0, 4, "uint"},
  [35] = {"proxy_uri", 1, 1034, "text"},
  [39] = {"proxy_scheme", 1, 255, "text"},
  [60] = {"size1", 0, 4, "uint"},
  [252] = {"echo", 1, 40, "opaque"},
  [258] = {"no_response", 0, 1, "uint"},
  [292] = {"request_tag", 0, 8, "opaque", true},
}

local function extended(nibble)
  if nibble < 13 then return nibble end
  if nibble == 15 then fail("an option's head of 15") end
  local count = nibble - 12
  need(c, count)
  c.at = c.at + count
  return unsigned(c.raw, c.at - count, count) + (count == 1 and 13 or 269)
end

local seen, path, path_from, path_to = {}, "", nil, nil

local function option(number, from, to)
  local raw = c.raw:sub(from + 1, to)
  if number == 11 and #raw < 256 and is_utf8(raw) then
    path = path .. "/" .. raw:gsub("%%", "%%25"):gsub("/", "%%2F")
    path_from, path_to = path_from or from, to
    return
  end
  local known = OPTIONS[number]
  local fits = known and #raw >= known[2] and #raw <= known[3] and (known[5] or not seen[number])
  if fits and (known[4] ~= "text" or is_utf8(raw)) then
    seen[number] = true
    local value = unsigned(c.raw, from, #raw)
    if known[4] == "text" then
      add(known[1], from, to, raw)
    elseif known[4] == "opaque" then
      add(known[1], from, to)
    elseif known[4] == "empty" then
      add(known[1], from, to, true)
    elseif known[4] == "uint" then
      add(known[1], from, to, value)
    else
      add(known[1] .. ".number", from, to, math.floor(value / 16))
      add(known[1] .. ".more", from, to, math.floor(value / 8) % 2 == 1)
      add(known[1] .. ".size", from, to, 16 * 2 ^ (value % 8))
    end
    return
  end
  if number > 65535 then fail("an option's number is beyond 65535") end
  add("options.number", from, to, number)
  add("options.value", from, to)
end

local code, number, payload = c.raw:byte(2), 0, nil
if code == 0 and (c.at ~= 4 or c.at ~= c.stop) then fail("an empty message that is not empty") end
while c.at < c.stop do
  local head = c.raw:byte(c.at + 1)
  c.at = c.at + 1
  if head == 255 then
    if c.at == c.stop then fail("a payload marker, and no payload") end
    payload, c.at = c.at, c.stop
    break
  end
  number = number + extended(math.floor(head / 16))
  local count = extended(head % 16)
  need(c, count)
  c.at = c.at + count
  option(number, c.at - count, c.at)
end
if code ~= 0 then
  if code < 32 or path ~= "" then
    path_from = path_from or c.at
    add("path", path_from, path_to or path_from, path == "" and "/" or path)
  end
  local from = payload or c.at
  local raw = c.raw:sub(from + 1, c.at)
  add("payload", from, c.at, is_plain(raw) and raw or nil)
end
return NONE
