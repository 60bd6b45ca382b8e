from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.device import (
    NO_REPLY,
    NO_RULE,
    Device,
    Reply,
    SimDevice,
    attach_behavior,
    on,
)
from iotsim.errors import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Iterator


class FakeRuntime:
    """Time that jumps where it is sent, and a list of what was sent."""

    def __init__(self) -> None:
        self.t = 0.0
        self.slept: list[float] = []
        self.sent: list[tuple[Any, ...]] = []
        self.notes: list[tuple[str, str]] = []

    def now(self) -> float:
        return self.t

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.t += seconds

    async def sleep_until(self, t: float) -> None:
        self.t = max(self.t, t)

    def send_nowait(self, device: SimDevice, message: Any, to: Any, service: int) -> None:
        self.sent.append((self.t, device.name, message, to, service))

    def gateway(self, device: SimDevice) -> tuple[int, int] | None:
        return (1, 2)

    def note(self, device: SimDevice, text: str) -> None:
        self.notes.append((device.name, text))


def finish(coroutine: Any) -> None:
    """Run a coroutine that never really waits."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


def attached(build: Any, behavior: type[Device], **keys: Any) -> tuple[Any, FakeRuntime, Any]:
    fleet, runtime = build.fleet(**keys), FakeRuntime()
    return fleet, runtime, attach_behavior(fleet, behavior, runtime)


def ask(fleet: Any, message: dict[str, Any], index: int = 0) -> Any:
    return fleet.responders[0](fleet.device(index), message, 0.0)


def test_handlers_answer_what_no_rule_takes(build: Any) -> None:
    class Meter(Device):
        def __init__(self) -> None:
            self.asked = 0

        @on(kind="READ")
        def read(self, request: dict[str, Any]) -> dict[str, Any]:
            self.asked += 1
            return {"kind": "REPORT", "by": self.name, "asked": self.asked}

        @on(kind="SET")
        def set(self, request: dict[str, Any]) -> None:
            self.state["x"] = request["x"]

        @on(kind={"any": ["A", "B"]})
        def two(self, request: dict[str, Any]) -> list[dict[str, Any]]:
            return [{"n": 1}, {"n": 2, "seq": 0}]

    fleet, _, _ = attached(
        build, Meter, rules=[{"when": {"kind": "READ", "seq": 9}, "reply": {"by": "rule"}}]
    )
    assert ask(fleet, {"kind": "READ", "seq": 9}) == {"by": "rule", "seq": 9}
    assert fleet.device(0).behavior is None
    read = {"kind": "READ", "seq": 4}
    assert ask(fleet, read) == {"kind": "REPORT", "by": "meter[0]", "asked": 1, "seq": 4}
    assert ask(fleet, read)["asked"] == 2
    assert ask(fleet, read, index=1)["asked"] == 1
    assert ask(fleet, {"kind": "SET", "x": 5}) is NO_REPLY
    assert fleet.device(0).state == {"x": 5}
    assert ask(fleet, {"kind": "B", "seq": 3}) == [
        Reply(0.0, {"n": 1, "seq": 3}),
        Reply(0.0, {"n": 2, "seq": 0}),
    ]
    assert ask(fleet, {"kind": "OTHER"}) is NO_RULE


def test_handlers_are_tried_in_order_those_of_the_class_before_inherited_ones(build: Any) -> None:
    class Base(Device):
        @on()
        def anything(self, request: dict[str, Any]) -> dict[str, Any]:
            return {"by": "base"}

        @on(kind="X")
        def x(self, request: dict[str, Any]) -> dict[str, Any]:
            return {"by": "base x"}

    class Meter(Base):
        @on({"kind": "READ"}, seq=1)
        @on(kind="WRITE")
        def read(self, request: dict[str, Any]) -> dict[str, Any]:
            return {"by": "meter"}

        def x(self, request: dict[str, Any]) -> dict[str, Any]:
            return {}

    fleet, _, _ = attached(build, Meter, echo=())
    assert ask(fleet, {"kind": "READ", "seq": 1}) == {"by": "meter"}
    assert ask(fleet, {"kind": "WRITE"}) == {"by": "meter"}
    assert ask(fleet, {"kind": "READ", "seq": 2}) == {"by": "base"}
    assert ask(fleet, {"kind": "X"}) == {"by": "base"}


def test_what_a_handler_keeps_is_not_changed(build: Any) -> None:
    class Meter(Device):
        kept: dict[str, Any] = {}  # noqa: RUF012

        @on()
        def read(self, request: dict[str, Any]) -> dict[str, Any]:
            return self.kept

    fleet, _, _ = attached(build, Meter)
    assert ask(fleet, {"seq": 1}) == {"seq": 1}
    assert ask(fleet, {"seq": 2}) == {"seq": 2}
    assert Meter.kept == {}


@pytest.mark.parametrize("result", ["text", 5, ({},), [1]])
def test_a_handler_that_returns_something_else_fails(build: Any, result: Any) -> None:
    class Meter(Device):
        @on()
        def read(self, request: dict[str, Any]) -> Any:
            return result

    fleet, _, _ = attached(build, Meter)
    with pytest.raises(TypeError, match=r"read\(\) returned .*: it may return a dict, a list of"):
        ask(fleet, {})


def test_handlers_that_wait_are_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"read\(\) is an 'async def', but an @on handler answers"):

        class Waiting(Device):
            @on()
            async def read(self, request: dict[str, Any]) -> None: ...

    with pytest.raises(TypeError, match=r"read\(\) is a generator"):

        class Yielding(Device):
            @on()
            def read(self, request: dict[str, Any]) -> Any:
                yield {}


def test_what_is_called_later_cannot_wait() -> None:
    async def waits() -> None: ...

    def yields() -> Iterator[None]:
        yield

    with pytest.raises(
        TypeError, match=r"waits\(\) is an 'async def', but later\(\) calls a plain"
    ):
        Device().later(1.0, waits)
    with pytest.raises(TypeError, match=r"yields\(\) is a generator, but later\(\) calls a plain"):
        Device().later(1.0, yields)


def test_a_run_that_cannot_wait_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"Plain\.run is a task of .* must be an 'async def'"):

        class Plain(Device):
            def run(self) -> None:  # type: ignore[override]
                pass

    with pytest.raises(TypeError, match=r"read\(\) must take two arguments"):

        class Short(Device):
            @on()
            def read(self) -> None: ...

    with pytest.raises(TypeError, match="belongs above a method"):
        on()(5)  # type: ignore[type-var]


def test_a_wrong_match_names_file_line_and_handler(build: Any) -> None:
    class Meter(Device):
        @on(kind={"minimum": 3, "max": 4, "min": "=nothing("})
        def read(self, request: dict[str, Any]) -> None: ...

    with pytest.raises(ScenarioError) as caught:
        attached(build, Meter)
    problem = caught.value.problems[0]
    assert problem.file == __file__
    assert problem.line > 1
    assert "Meter.read" in problem.path


def test_has_run_tells_whether_devices_need_a_task(build: Any) -> None:
    class Silent(Device):
        pass

    class Running(Device):
        async def run(self) -> None:
            pass

    assert not attached(build, Silent)[2].has_run
    assert attached(build, Running)[2].has_run


def test_what_a_device_knows(build: Any) -> None:
    class Meter(Device):
        def __init__(self) -> None:
            self.known = (self.index, self.name, self.address, self.now, self.gateway)

    fleet, runtime, behavior = attached(
        build, Meter, signals={"x": build.signal("ramp", stop=10.0, period=10.0)}, state={"a": 1}
    )
    runtime.t = 4.0
    meter = behavior.instance(fleet.device(2))
    assert behavior.instance(fleet.device(2)) is meter is fleet.device(2).behavior
    assert meter.known == (2, "meter[2]", "10.77.1.3", 4.0, (1, 2))
    assert meter.signal("x") == 4.0
    assert meter.state is fleet.device(2).state
    meter.log("hello")
    assert runtime.notes == [("meter[2]", "hello")]


def test_random_numbers_are_the_devices_own(build: Any) -> None:
    def numbers(index: int, seed: int = 1) -> list[float]:
        fleet, _, behavior = attached(build, Device, seed=seed)
        device = behavior.instance(fleet.device(index))
        return [device.random.random() for _ in range(3)]

    assert numbers(1) == numbers(1)
    assert numbers(1) != numbers(2)
    assert numbers(1) != numbers(1, seed=2)


def test_sending(build: Any) -> None:
    class Meter(Device):
        async def run(self) -> None:
            await self.send({"a": 1})
            await self.sleep("1.5s")
            await self.sleep(0.5)
            await self.send({"a": 2}, to=self.gateway)
            await self.send({"a": 3}, to="10.77.0.9:99", service=1)
            self.send_nowait({"a": 4}, to="gateway")

    fleet, runtime, behavior = attached(build, Meter)
    finish(behavior.instance(fleet.device(0)).run())
    assert runtime.sent == [
        (0.0, "meter[0]", {"a": 1}, None, 0),
        (2.0, "meter[0]", {"a": 2}, (1, 2), 0),
        (2.0, "meter[0]", {"a": 3}, (0x0A4D0009, 99), 1),
        (2.0, "meter[0]", {"a": 4}, None, 0),
    ]
    # Each send is a checkpoint, so that a loop that only sends lets others run.
    assert runtime.slept == [0.0, 1.5, 0.5, 0.0, 0.0]


def ticks(build: Any, index: int, jitter: str | float = 0.0, body_s: float = 0.0) -> list[float]:
    found: list[float] = []

    class Meter(Device):
        async def run(self) -> None:
            async for n in self.every("10s", jitter=jitter):
                found.append(self.now)
                await self.sleep(body_s)
                if n >= 50:
                    return

    fleet, _, behavior = attached(build, Meter)
    finish(behavior.instance(fleet.device(index)).run())
    return found


def test_every_ticks_without_drift_from_a_phase_of_the_devices_own(build: Any) -> None:
    found = ticks(build, 0, body_s=3.0)
    assert 0.0 <= found[0] < 10.0
    assert found == pytest.approx([found[0] + 10.0 * n for n in range(51)])
    assert ticks(build, 0, body_s=3.0) == found
    assert abs(ticks(build, 1)[0] - found[0]) > 0.01


def test_every_with_jitter(build: Any) -> None:
    plain, jittered = ticks(build, 0), ticks(build, 0, jitter="2s")
    late = [after - before for before, after in zip(plain, jittered, strict=True)]
    assert all(0.0 <= value < 2.0 for value in late)
    assert max(late) > 1.5


def test_every_leaves_out_the_ticks_that_it_missed(build: Any) -> None:
    found = ticks(build, 0, body_s=25.0)
    gaps = [after - before for before, after in pairwise(found)]
    assert all(gap >= 24.999 for gap in gaps)
    assert len(found) < 25


def test_intervals_must_be_above_0(build: Any) -> None:
    fleet, _, behavior = attached(build, Device)
    with pytest.raises(ValueError, match="above 0"):
        behavior.instance(fleet.device(0)).every(0)
