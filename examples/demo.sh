#!/bin/sh
# What `make demo` runs: the bundled quickstart over TUN, or, where this machine gives no TUN,
# over the loopback link, saying what that leaves out.
set -u
iotsim="${BIN:-.venv/bin}/iotsim"

"$iotsim" run quickstart
code=$?
[ $code -eq 3 ] || exit $code

cat <<'BANNER'

  +----------------------------------------------------------------------------+
  |  No TUN here, so the demo goes on over the LOOPBACK link.                   |
  |  Left out: the private network namespace, ICMP (ping, unreachable), IPv6,   |
  |  fragments, and addresses other than 127.x.y.z.                             |
  |  For the real thing, do what stands behind "fix:" above; `iotsim doctor`    |
  |  shows the whole picture.                                                   |
  +----------------------------------------------------------------------------+

BANNER
exec "$iotsim" run quickstart --link loopback
