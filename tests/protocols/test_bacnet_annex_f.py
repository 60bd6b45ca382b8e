"""BACnet/IP: the examples of annex F, as bacpypes3 encodes them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.clients import CLIENTS

from iotsim.protocol.registry import load_protocol

BACPYPES3 = """
from bacpypes3 import apdu as a, basetypes as b
from bacpypes3.constructeddata import Any
from bacpypes3.primitivedata import Date, ObjectIdentifier, Real, Time

MAX_APDU = {50: 0, 128: 1, 206: 2, 1024: 4}


def said(apdu, invoke_id=None, max_apdu=None):
    apdu.apduInvokeID = invoke_id
    octets = apdu.encode()
    octets.apduSeg = octets.apduMor = octets.apduSA = False
    octets.apduMaxSegs, octets.apduMaxResp = 0, MAX_APDU.get(max_apdu)
    print(bytes(octets.encode().pduData).hex())


def of(item):
    return ObjectIdentifier(item)


def value(prop, content):
    return b.PropertyValue(propertyIdentifier=prop, value=Any(content))


def result(prop, content):
    read = b.ReadAccessResultElementChoice(propertyValue=Any(content))
    return b.ReadAccessResultElement(propertyIdentifier=prop, readResult=read)


here = {"objectIdentifier": of("analog-input,5"), "propertyIdentifier": "present-value"}
said(a.ReadPropertyRequest(**here), 1, 50)
said(a.ReadPropertyACK(**here, propertyValue=Any(Real(72.3))), 1)
here = {"objectIdentifier": of("analog-value,1"), "propertyIdentifier": "present-value"}
said(a.WritePropertyRequest(**here, propertyValue=Any(Real(180.0))), 89, 1024)
here = {"subscriberProcessIdentifier": 18, "monitoredObjectIdentifier": of("analog-input,10")}
said(a.SubscribeCOVRequest(**here, issueConfirmedNotifications=True, lifetime=0), 15, 206)
values = [value("present-value", Real(65.0)), value("status-flags", b.StatusFlags([0] * 4))]
here |= {"initiatingDeviceIdentifier": of("device,4"), "timeRemaining": 0}
said(a.UnconfirmedCOVNotificationRequest(**here, listOfValues=values))
said(a.WhoIsRequest(deviceInstanceRangeLowLimit=3, deviceInstanceRangeHighLimit=3))
here = {"iAmDeviceIdentifier": of("device,3"), "maxAPDULengthAccepted": 1024}
said(a.IAmRequest(**here, segmentationSupported="no-segmentation", vendorID=99))
names = [b.PropertyReference(propertyIdentifier=name) for name in ("present-value", "reliability")]
item = {"objectIdentifier": of("analog-input,16")}
read = a.ReadAccessSpecification(**item, listOfPropertyReferences=names)
said(a.ReadPropertyMultipleRequest(listOfReadAccessSpecs=[read]), 241, 1024)
results = [result("present-value", Real(72.3)), result("reliability", b.Reliability(0))]
results = [a.ReadAccessResult(**item, listOfResults=results)]
said(a.ReadPropertyMultipleACK(listOfReadAccessResults=results), 241)
writes = [
    a.WriteAccessSpecification(
        objectIdentifier=of(f"analog-value,{number}"),
        listOfProperties=[value("present-value", Real(content))],
    )
    for number, content in ((5, 67.0), (6, 67.0), (7, 72.0))
]
said(a.WritePropertyMultipleRequest(listOfWriteAccessSpecs=writes), 1, 1024)
silence = {"timeDuration": 5, "enableDisable": "disable", "password": "#egbdf!"}
said(a.DeviceCommunicationControlRequest(**silence), 5, 1024)
restart = {"reinitializedStateOfDevice": "warmstart", "password": "AbCdEfGh"}
said(a.ReinitializeDeviceRequest(**restart), 2, 128)
time = b.DateTime(date=Date((92, 11, 17, 2)), time=Time((22, 45, 30, 70)))
said(a.TimeSynchronizationRequest(time=time))
said(a.WhoHasRequest(object=a.WhoHasObject(objectName="OATemp")))
here = {"deviceIdentifier": of("device,8"), "objectIdentifier": of("analog-input,3")}
said(a.IHaveRequest(**here, objectName="OATemp"))
"""
HEADERS = 6
"""The octets of BVLC and NPDU, which annex F has not."""


@pytest.mark.peer("bacnet", "bacpypes3", "encodes the examples of annex F alike")
@pytest.mark.needs("bacpypes3")
def test_bacpypes3_encodes_the_examples_alike() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BACPYPES3],
        env={"PYTHONPATH": str(CLIENTS["bacpypes3"].path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = load_protocol("bacnet")
    told = [v.fields for v in loaded.vectors if "service" in v.fields]
    examples = [fields for fields in told if fields.get("apdu") != "SIMPLE_ACK"]
    ours = [loaded.protocol.codec.encode(fields)[HEADERS:].hex() for fields in examples]
    assert done.stdout.split() == ours
