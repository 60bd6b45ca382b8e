"""Messages to and from this machine's kernel; what changes things is tested live."""

from __future__ import annotations

import subprocess
import sys

from iotsim.testbed.isolation import may_administer

SCRIPT = """
import socket, sys
from ipaddress import ip_address, ip_network
from iotsim.testbed.rtnetlink import RouteSocket
kernel = RouteSocket()
loopback = socket.if_nametoindex("lo")
names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in kernel.links()}
assert names[loopback] == "lo", names
assert names == dict(socket.if_nameindex()), names
assert "127.0.0.1" in {message.get_attr("IFA_LOCAL") for message in kernel.addresses()}
assert any(message.get_attr("RTA_DST") == "127.0.0.1" for message in kernel.routes())
try:
    kernel.set_link(2**30, up=True)
except OSError as error:
    print(error.strerror)
kernel.close()
print("asyncio" in sys.modules)
"""


def test_listings_and_errors_without_the_cost_of_the_whole_package() -> None:
    # In a process of its own: the package is left half imported, as in the helper.
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    error, loaded = result.stdout.splitlines()
    assert error == ("No such device" if may_administer() else "Operation not permitted")
    assert loaded == "False", result.stderr
