from iotsim import Protocol

from .message import APPLICATION, MESSAGE
from iotsim import Session
PROTOCOL = Protocol(
    name="knxnet",
    message=MESSAGE,
    application=APPLICATION,
    session=Session,
    port=3671,
    echo=["group"],
    summary="{service} {group}{channel} {value}{sequence} {status}{cemi.code}",
    description="KNXnet/IP",
    groups=["224.0.23.12"],
)

VECTORS = [
    ("0610 0207 0010 15 00 0801 c0a8c80c c3b4",
      {"service": "CONNECTIONSTATE_REQUEST", "channel": 21, "control": {"address": "192.168.200.12", "port": 50100}}),
    ("0610 0420 0015 04 01 17 00 11 00 bc e0 0000 0902 01 00 80",
      {"service": "TUNNELLING_REQUEST", "channel":1, "sequence":0x17, "cemi": {"code": "L_DATA_REQ", "destination": "1/1/2", "source": "0.0.0", "apci": "GROUP_VALUE_WRITE"}}),
    ("0610 0205 001a 0801 c0a8c80c c3b4 0801 c0a8c80c c3b4 04 04 02 00",
      {"service": "CONNECT_REQUEST", "control": {"address": "192.168.200.12", "port": 50100}, "data_endpoint": {"address": "192.168.200.12", "port": 50100},
      "cri": {"connection_type": "TUNNEL_CONNECTION"}}),
]
