"""What takes more than a scenario: tests that look at the gateway while it runs, and act on what they see.

The fixture `simulation` comes with iotsim; pytest runs the scenarios, too, since iotsim.toml names them.
"""

from itertools import pairwise


def test_it_backs_off_from_a_probe_that_is_silent(simulation):
    """Twice as long each time: 0.1 s, 0.2 s, 0.4 s."""
    silent = {"silent": {"devices": "probe[3]", "mute": True}}
    with simulation("scenarios/smoke.toml", fault=silent, duration="10s", judge=False) as sim:
        sim.wait_for("probe[3]", sends={"kind": "READING"})
        sim.begin("silent")
        polls = [sim.wait_for("probe[3]", receives={"kind": "POLL"}) for _ in range(5)]
        while len({poll.message["number"] for poll in polls[-4:]}) > 1:
            polls.append(sim.wait_for("probe[3]", receives={"kind": "POLL"}))
        gaps = [after.t - before.t for before, after in pairwise(polls[-4:])]
    for gap, asked in zip(gaps, (0.1, 0.2, 0.4), strict=True):
        assert asked - 0.01 < gap < asked + 0.09, gaps


def test_it_says_which_probe_is_lost_and_finds_it_again(simulation):
    gone = {"gone": {"devices": "probe[7]", "offline": True}}
    with simulation("scenarios/smoke.toml", fault=gone, duration="30s", judge=False) as sim:
        address = sim.device("probe[7]").address
        with sim.during("gone"):
            sim.wait_for(output=f"{address} does not answer", within="10s")
        back = sim.wait_for("probe[7]", sends={"kind": "READING"}, since=sim.now)
        sim.northbound("cloud").wait_for(
            receives={"json.probe": address, "json.number": back.message["number"]}
        )


def test_a_restart_loses_no_more_than_what_it_held(simulation):
    with simulation("scenarios/smoke.toml", duration="30s", judge=False) as sim:
        sim.northbound("cloud").wait_for(receives={"method": "POST"})
        sim.gateway.restart()
        sim.gateway.wait_ready()
        since = sim.now
        for probe in sim.device("probe").names:
            sim.wait_for(probe, sends={"kind": "READING"}, since=since)
