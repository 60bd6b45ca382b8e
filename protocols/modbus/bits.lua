-- Eight from each byte, the lowest bit first (6.1), as `read_bits` has them.
for from = c.at, c.stop - 1 do
  local byte = c.raw:byte(from + 1)
  for place = 0, 7 do
    add("", from, from + 1, math.floor(byte / 2 ^ place) % 2 == 1).index = 8 * (from - c.at) + place
  end
end
c.at = c.stop
