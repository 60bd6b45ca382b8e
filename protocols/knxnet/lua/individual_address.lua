-- Area, line and device in 4, 4 and 8 bits, as `read_individual` has them.
need(c, 2)
local high, low = c.raw:byte(c.at + 1, c.at + 2)
local text = math.floor(high / 16) .. "." .. high % 16 .. "." .. low
add("", c.at, c.at + 2, text)
c.at = c.at + 2
return text
