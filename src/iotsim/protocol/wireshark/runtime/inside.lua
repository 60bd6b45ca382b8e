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
    found.offset1, found.offset2, found.length = from, c.at, c.at - from
    for name, one in pairs({offset1 = offset1, offset2 = offset2, length = length}) do
      put(c, one, c.at, c.at, found[name]).generated = true
    end
    c.items = items
    return {fields = found}
  end
end
