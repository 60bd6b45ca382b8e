"""How far each kind of expectation is while a run goes on."""

from __future__ import annotations

from tests.expect.transcript import READ, FakeDevice, Transcript, expectation

from iotsim.expect.judge import Judge
from iotsim.expect.slots import FleetView
from iotsim.expect.spec import DeviceSelection, ExpectSpec, GatewayExpectation
from iotsim.expect.standing import Standing, add_standings

ONE = (DeviceSelection("meter", range(1)),)


def standing(run: Transcript) -> Standing:
    (one,) = run.judge.standings()
    return one


def test_within_counts_the_devices_that_did_and_tells_when_time_is_over() -> None:
    run = Transcript(expectation("within", within_s=5.0))
    run.hear(1, 0.5)
    assert standing(run) == Standing(None, "device", 1, 0, 3, due=5.0)
    run.judge.advance(6.0)
    assert standing(run) == Standing(False, "device", 1, 2, 3, due=5.0)


def test_what_shall_not_come_is_kept_until_somebody_breaks_it() -> None:
    run = Transcript(expectation("never"))
    assert standing(run) == Standing(None, "device", 0, 0, 3, keeps=True)
    run.hear(2, 0.5)
    assert standing(run) == Standing(False, "device", 0, 1, 3, keeps=True)


def test_none_is_broken_by_those_that_do() -> None:
    run = Transcript(expectation("within", within_s=5.0, quantifier="none"))
    run.hear(0, 0.5)
    assert standing(run) == Standing(False, "device", 0, 1, 3, keeps=True, due=5.0)


def test_a_count_of_one_device_counts_messages() -> None:
    run = Transcript(expectation("count", count_min=3, devices=ONE))
    run.hear(0, 0.5)
    run.hear(0, 0.6)
    assert standing(run) == Standing(None, "message", 2, 0, 3)
    run = Transcript(expectation("count", count_max=2, devices=ONE))
    run.hear(0, 0.5)
    assert standing(run) == Standing(None, "message", 1, 0, 2, keeps=True)


def test_a_count_of_several_counts_devices() -> None:
    run = Transcript(expectation("count", count_min=2))
    run.hear(0, 0.5)
    run.hear(0, 0.6)
    run.hear(1, 0.6)
    assert standing(run) == Standing(None, "device", 1, 0, 3)


def test_a_pool_counts_its_messages_all_the_same() -> None:
    run = Transcript(expectation("count", count_min=3, quantifier="all"))
    run.hear(0, 0.5)
    run.hear(2, 0.6)
    assert standing(run) == Standing(None, "message", 2, 0, 3)
    assert standing(Transcript(expectation("within", within_s=1.0, quantifier="all"))).unit == ""


def test_what_waits_for_a_step_says_so() -> None:
    run = Transcript(expectation("within", within_s=5.0, after="it is back"))
    assert standing(run).after == "it is back"
    run.judge.happened("it is back", 3.0)
    assert standing(run) == Standing(None, "device", 0, 0, 3, due=8.0)


def test_an_expectation_of_the_gateway_has_nothing_to_count() -> None:
    asked = GatewayExpectation(stdout_contains="ready")
    spec = ExpectSpec(name="g", kind="gateway", gateway=asked, within_s=2.0, devices=())
    judge = Judge([spec], {})
    judge.gateway_ready(1.0)
    assert judge.standings() == [Standing(due=3.0)]
    judge.gateway_output("ready", 1.5)
    assert judge.standings() == [Standing(True, keeps=True)]


def test_shards_add_up() -> None:
    parts = [
        Standing(),  # the run's own process, which has no devices
        Standing(None, "device", 30, 1, 50, due=4.0),
        Standing(True, "device", 50, 0, 50, due=5.0),
    ]
    assert add_standings(parts, None) == Standing(None, "device", 80, 1, 100, due=5.0)
    messages = [
        Standing(unit="message", held=2, total=5),
        Standing(unit="message", held=1, total=5),
    ]
    assert add_standings(messages, None) == Standing(None, "message", 3, 0, 5)
    assert add_standings([Standing(True), Standing()], True) == Standing(True)


def test_several_judges_of_one_fleet_count_the_devices_that_they_see() -> None:
    spec = expectation("within", within_s=5.0)
    judges = [Judge([spec], {"meter": FleetView("meter", 3, range(n, 3, 2))}) for n in (0, 1)]
    for judge in judges:
        judge.gateway_ready(0.0)
    for observe in judges[1].observers("meter", "receives"):
        observe(FakeDevice(1), READ, 0.5)
    parts = [judge.standings()[0] for judge in judges]
    assert add_standings(parts, None) == Standing(None, "device", 1, 0, 3, due=5.0)
