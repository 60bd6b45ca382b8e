-- Eight bytes, as `read_eui` has them.
need(c, 8)
local text = c.raw:sub(c.at + 1, c.at + 8):gsub(".", function(one) return string.format("%02X", one:byte()) end)
add("", c.at, c.at + 8, text)
c.at = c.at + 8
return text
