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
