-- Main, middle and sub group in 5, 3 and 8 bits, as `read_group` has them.
need(c, 2)
local high, low = c.raw:byte(c.at + 1, c.at + 2)
local text = math.floor(high / 8) .. "/" .. high % 8 .. "/" .. low
add("", c.at, c.at + 2, text)
c.at = c.at + 2
return text
