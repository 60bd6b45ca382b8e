from __future__ import annotations

import pytest

from iotsim.errors import MachineError
from iotsim.testbed.plan import TestbedPlan, resolve_isolation


def test_a_plan_travels_as_json() -> None:
    plan = TestbedPlan(
        isolate="netns:lab",
        addresses=((0x0A4D0001, 16), (0xFD77 << 112 | 1, 64)),
        routes=((0xC0A80900, 24),),
        hosts=(("cloud.example", ("127.0.0.1", "::1")),),
        run_name="ä run",
    )
    assert TestbedPlan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("isolate", "name", "interface", "namespace"),
    [
        ("private", "", "iotsim0", ""),
        ("private", "dut0", "dut0", ""),
        ("host", "", "iotsim%d", ""),
        ("netns:lab", "", "iotsim%d", "lab"),
    ],
)
def test_names(isolate: str, name: str, interface: str, namespace: str) -> None:
    plan = TestbedPlan(isolate=isolate, name=name)
    assert (plan.interface_name, plan.namespace) == (interface, namespace)


def test_auto_is_private_when_the_gateway_is_ours_to_start() -> None:
    assert resolve_isolation("auto", starts_gateway=True) == "private"
    assert resolve_isolation("auto", starts_gateway=False) == "host"


@pytest.mark.parametrize("isolate", ["private", "host", "netns:lab"])
def test_an_explicit_choice_stands(isolate: str) -> None:
    assert resolve_isolation(isolate, starts_gateway=True) == isolate


@pytest.mark.parametrize("isolate", ["", "jail", "netns:", "netns"])
def test_other_words_are_refused(isolate: str) -> None:
    with pytest.raises(MachineError, match="is not known"):
        resolve_isolation(isolate, starts_gateway=True)
