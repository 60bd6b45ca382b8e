-- A TPDU behind its length, which does not count the first byte, as `read_tpdu` has it.
need(c, 1)
local from = c.at
local to = from + 2 + c.raw:byte(from + 1)
need(c, to - from)
local first, second = c.raw:byte(from + 2, from + 3)
add("tpci", from + 1, from + 2, math.floor(first / 4))
if to > from + 2 then
  add("apci", from + 1, from + 3, first % 4 * 4 + math.floor(second / 64))
  add("small", from + 2, from + 3, second % 64)
else
  add("small", from + 1, from + 2, first % 4)
end
add("data", math.min(from + 3, to), to)
c.at = to
