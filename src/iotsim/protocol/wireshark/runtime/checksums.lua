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
