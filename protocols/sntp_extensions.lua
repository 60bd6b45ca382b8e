-- What is left, without what is as long as an authentication code may be (RFC 7822, section 7.5.1.4), as
-- `read_extensions` has it.
local index = 0
local function is_code(size) return size == 0 or size == 4 or size == 20 or size == 24 end

while not is_code(c.stop - c.at) do
  need(c, 4)
  local from, length = c.at, unsigned(c.raw, c.at + 2, 2)
  if length < 16 or length % 4 ~= 0 or from + length > c.stop then fail("an extension field of a wrong length") end
  below(c, add("", from, from + length), function()
    add("type", from, from + 2, unsigned(c.raw, from, 2))
    add("value", from + 4, from + length)
  end, index)
  c.at, index = from + length, index + 1
end
