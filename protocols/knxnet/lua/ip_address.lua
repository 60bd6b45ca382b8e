-- Four bytes, as `read_ip` has them.
need(c, 4)
local text = table.concat({c.raw:byte(c.at + 1, c.at + 4)}, ".")
add("", c.at, c.at + 4, text)
c.at = c.at + 4
return text
