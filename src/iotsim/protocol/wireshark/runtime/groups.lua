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
