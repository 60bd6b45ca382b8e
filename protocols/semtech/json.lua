-- The JSON after the header, which Wireshark has a dissector for.
--
-- Types of json: bytes
-- Shows only: json
if c.at < c.stop then add("json", c.at, c.stop).dissector = "json" end
c.at = c.stop
