"""The gateway's process in a run, from its start to its end, as the results tell of it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done

pytestmark = pytest.mark.needs("tun")


background = pytest.mark.background


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-u", "-c", code]


def silent(iotsim: CommandLine) -> Done:
    command = ["python3", "-c", "import time; time.sleep(9)"]
    return iotsim.run("quickstart", "--tolerance", "0.08", "--", *command)


@background(job=silent)
def test_a_gateway_that_says_nothing_fails_and_was_not_heard(done: Done) -> None:
    assert done.status == 1
    assert "every meter is polled" in done.text
    assert "nothing was heard from the gateway at all" in done.text.lower()
    assert done.result["verdict"] == "failed"
    assert done.result["counters"].get("packets.received", 0) == 0


def segfault(iotsim: CommandLine) -> Done:
    code = "import os\nfor n in range(12): print('line', n)\nos.kill(os.getpid(), 11)"
    return iotsim.run(iotsim.meters(), "--", *python(code))


@background(job=segfault)
def test_a_crash_shows_the_signal_and_the_last_lines(done: Done) -> None:
    assert done.status == 1
    assert "the gateway crashed: SIGSEGV" in done.text
    assert "| line 11" in done.text
    assert "| line 1\n" not in done.text
    gateway = done.result["gateway"]
    assert (gateway["crashed"], gateway["signal"], gateway["status"]) == (True, "SIGSEGV", None)
    assert gateway["last_lines"] == [f"line {n}" for n in range(2, 12)]
    assert done.log.splitlines() == [f"line {n}" for n in range(12)]
    (exited,) = done.events_of("gateway-exited")
    assert (exited["signal"], exited["crashed"]) == ("SIGSEGV", True)


def exit_3(iotsim: CommandLine) -> Done:
    return iotsim.run(iotsim.meters(), "--", *python("print('all is lost'); raise SystemExit(3)"))


@background(job=exit_3)
def test_an_exit_status_other_than_0_is_a_crash(done: Done) -> None:
    assert done.status == 1
    assert "the gateway crashed: exit status 3" in done.text
    assert "| all is lost" in done.text


def expected_exit_3(iotsim: CommandLine) -> Done:
    gateway = 'command = ["sh", "-c", "exit 3"]\nexpect_exit = 3'
    return iotsim.run(iotsim.meters(gateway=gateway, expect=""))


@background(job=expected_exit_3)
def test_an_exit_status_that_was_expected_is_no_crash(done: Done) -> None:
    assert done.status == 5  # nothing was checked, and nothing was wrong
    assert not done.result["gateway"]["crashed"]


def no_such_gateway(iotsim: CommandLine) -> Done:
    return iotsim.run(iotsim.meters(), "--", "/no/such/gateway")


@background(job=no_such_gateway)
def test_a_command_that_cannot_be_started_is_an_error_in_a_line(done: Done) -> None:
    assert done.status == 2
    assert "Traceback" not in done.text
    reason = "the gateway cannot be started: /no/such/gateway: No such file or directory"
    assert f"iotsim: {reason}\n" in done.text
    assert (done.result["verdict"], done.result["reason"]) == ("error", reason)
    assert reason in (done.out / "junit.xml").read_text()
    assert [event["event"] for event in done.events] == ["run-started", "link-up"]


def no_gateway_beside(iotsim: CommandLine) -> Done:
    return iotsim.run(iotsim.meters(gateway='command = ["../batgw", "-v"]'))


@background(job=no_gateway_beside)
def test_a_command_that_is_not_there_is_named_with_its_line_and_folders(done: Done) -> None:
    assert done.status == 2
    folder = done.out.parent
    (line,) = (one for one in done.text.splitlines() if "cannot be started" in one)
    assert re.fullmatch(
        r"iotsim: \S*\.toml:\d+: the gateway cannot be started: \.\./batgw: No such file or directory "
        rf"\(looked for in {re.escape(str(folder))} and {re.escape(str(folder.parent))}\)",
        line,
    )
    assert f"iotsim: {done.result['reason']}" == line


READY = {
    "log": ('{ log = "^listening" }', "printed a line that matches '^listening'"),
    "udp": ("{ udp = 4711 }", "UDP port 4711 is open"),
    "tcp": ("{ tcp = 4712 }", "TCP port 4712 is open"),
    "delay": ('{ delay = "300ms" }', "0.3 s have passed"),
}
SLOW_TO_LISTEN = """
import socket, sys, time
time.sleep(0.25)
udp, tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
udp.bind(("", 4711))
tcp.bind(("", 4712))
tcp.listen()
print("listening", flush=True)
time.sleep(0.1)
udp.sendto(bytes.fromhex(sys.argv[1]), ("10.77.1.1", 5600))
udp.recv(100)
"""
READ = "534e0101000900000007000100ea02"
WITHIN_AFTER_READY = """
[[expect]]
name = "soon after it was ready"
device = "meter[0]"
receives = { kind = "READ" }
within = "1s"
"""


def slow(iotsim: CommandLine, ready: str, how: str) -> Done:
    iotsim.write("slow.py", SLOW_TO_LISTEN)
    gateway = f'command = ["python3", "-ISu", "slow.py", "{READ}"]\nready = {ready}'
    return iotsim.run(iotsim.meters(gateway=gateway, expect=WITHIN_AFTER_READY))


@background(job=slow)
@pytest.mark.parametrize(("ready", "how"), READY.values(), ids=READY)
def test_ready(ready: str, how: str, done: Done) -> None:
    assert done.status == 0, done.text
    (event,) = done.events_of("gateway-ready")
    assert event["how"] == how
    started = done.events_of("gateway-started")[0]["t"]
    assert event["t"] - started > 0.24


def never_ready(iotsim: CommandLine) -> Done:
    gateway = 'command = ["sleep", "60"]\nready = { log = "never printed" }'
    return iotsim.run(iotsim.meters(gateway=gateway), "--tolerance", "0.02")


@background(job=never_ready)
def test_a_gateway_that_never_becomes_ready(done: Done) -> None:
    assert done.status == 1
    assert "ready" in done.text
    assert not done.events_of("gateway-ready")


SELF_PORTRAIT = """
import json, os, sys
print(json.dumps({
    "arguments": sys.argv[1:], "color": os.environ["COLOR"], "cwd": os.getcwd(),
    "results": os.environ["IOTSIM_RESULTS"], "beside": os.path.dirname(os.path.abspath(__file__)),
}))
open("written", "w").close()
"""


def self_portrait(iotsim: CommandLine) -> Done:
    iotsim.write("tools/portrait.py", SELF_PORTRAIT)
    iotsim.write("tools/config.json", "{}")
    gateway = """
    command = ["python3", "-IS", "tools/portrait.py", "${results}/db", "${devices.meter.range}",
               "--config", "tools/config.json", "no/such.file"]
    env = { COLOR = "blue ${link.address}" }
    """
    expect = '[[expect]]\nname = "runs"\ngateway = { exit = 0 }'
    return iotsim.run(iotsim.meters(gateway=gateway, expect=expect))


@background(job=self_portrait)
def test_arguments_environment_and_files(done: Done) -> None:
    assert done.status == 0, done.text
    folder = done.out.parent
    found = json.loads(done.log)
    assert found == {
        "arguments": [
            f"{done.out}/db",
            "10.77.1.1-10.77.1.3",
            "--config",
            f"{folder}/tools/config.json",
            "no/such.file",
        ],
        "color": "blue 10.77.0.1",
        "cwd": f"{done.out}/work",
        "results": str(done.out),
        "beside": f"{folder}/tools",
    }
    assert (done.out / "work" / "written").exists()


def lists_its_folder(iotsim: CommandLine) -> Done:
    iotsim.write("state/here", "")
    gateway = 'command = ["ls"]\ncwd = "state"'
    expect = '[[expect]]\nname = "sees it"\ngateway = { stdout = { regex = "^here$" } }'
    return iotsim.run(iotsim.meters(gateway=gateway, expect=expect))


@background(job=lists_its_folder)
def test_a_working_folder_of_its_own(done: Done) -> None:
    assert done.status == 0, done.text


TRAP = "trap 'echo good-bye; exit 0' INT; echo up; while :; do sleep 0.02; done"


def says_good_bye(iotsim: CommandLine) -> Done:
    gateway = f'command = ["sh", "-c", "{TRAP}"]\nstop_signal = "SIGINT"'
    expect = '[[expect]]\nname = "is up"\ngateway = { stdout = { contains = "up" } }'
    return iotsim.run(iotsim.meters(gateway=gateway, expect=expect))


@background(job=says_good_bye)
def test_at_the_end_it_is_asked_to_stop_and_has_its_last_words(done: Done) -> None:
    assert done.status == 0, done.text
    assert done.log.splitlines() == ["up", "good-bye"]
    assert done.result["gateway"]["status"] == 0
    assert [event["line"] for event in done.events_of("gateway-output")] == ["up", "good-bye"]


EXITS = '[[expect]]\nname = "exits"\ngateway = { exit = 0 }'
FOR_2_S = ("--duration", "2s")


def virtual_environment(iotsim: CommandLine) -> Done:
    interpreter = Path(sys.executable).resolve()
    iotsim.write(".venv/pyvenv.cfg", f"home = {interpreter.parent}\n")
    (iotsim.folder / ".venv" / "bin").mkdir()
    (iotsim.folder / ".venv" / "bin" / "python").symlink_to(interpreter)
    gateway = 'command = [".venv/bin/python", "-c", "import sys; print(sys.prefix)"]'
    return iotsim.run(iotsim.meters(gateway=gateway, expect=EXITS))


@background(job=virtual_environment)
def test_a_virtual_environment_stays_one(done: Done) -> None:
    assert done.status == 0, done.text
    assert done.log == f"{done.out.parent}/.venv\n"


DAEMON = """
import os, signal, socket, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("good-bye", flush=True), os._exit(0)))
if os.fork():
    sys.exit()
os.setsid()
if os.fork():
    os._exit(0)
time.sleep(0.8)
for _ in range(200):
    print("x" * 1000, flush=True)
udp = socket.socket(type=socket.SOCK_DGRAM)
for host in range(1, 4):
    udp.sendto(bytes.fromhex(sys.argv[1]), (f"10.77.1.{host}", 5600))
print("polled", flush=True)
time.sleep(60)
"""
IS_READ_AND_STAYS = """
[[expect]]
name = "each is read"
each = "meter"
receives = { kind = "READ" }
within = "2s"

[[expect]]
name = "stays"
gateway = { running = true, stdout = "polled" }
"""


def launcher(iotsim: CommandLine) -> Done:
    iotsim.write("daemon.py", DAEMON)
    gateway = f'command = ["python3", "-ISu", "daemon.py", "{READ}"]'
    scenario = iotsim.meters(gateway=gateway, expect=IS_READ_AND_STAYS, until="duration")
    return iotsim.run(scenario, *FOR_2_S)


@background(job=launcher)
def test_a_daemon_goes_on_and_is_heard_when_its_launcher_has_exited(done: Done) -> None:
    assert done.status == 0, done.text
    assert done.log.splitlines()[-2:] == ["polled", "good-bye"]
    assert len(done.log) > 200_000  # far more than a terminal holds
    (exited,) = done.events_of("gateway-exited")
    assert (exited["status"], exited["crashed"], exited["t"] > 1.5) == (0, False, True)
    (note,) = [event["text"] for event in done.events_of("note") if "left" in event["text"]]
    assert note.startswith("The gateway's command exited with status 0 and left python")


TALKER = (
    "(while sleep 0.3; do dd if=/dev/zero bs=9999 count=9 status=none; echo still; done) & exit 4"
)


def leaves_a_talker(iotsim: CommandLine) -> Done:
    gateway = f'command = ["sh", "-c", "{TALKER}"]'
    scenario = iotsim.meters(gateway=gateway, expect="", until="duration")
    return iotsim.run(scenario, *FOR_2_S)


@background(job=leaves_a_talker)
def test_what_a_crashed_gateway_leaves_is_read_until_the_run_ends(done: Done) -> None:
    assert "the gateway crashed: exit status 4" in done.text
    (exited,) = done.events_of("gateway-exited")
    assert (exited["status"], exited["crashed"], exited["t"] < 1.4) == (4, True, True)
    later = [event["line"] for event in done.events_of("gateway-output") if event["t"] > 1.4]
    assert later
    assert set(later) == {"still"}  # zero bytes are nothing to be read


COLORED = r"""
printf '\033[32mINFO\033[0m listening\033[K\n'
printf 'login: '
exec sleep 60
"""
ASKS = '[[expect]]\nname = "asks"\ngateway = { stdout = { regex = "^login: $" } }'


def colored(iotsim: CommandLine) -> Done:
    iotsim.write("colored.sh", COLORED)
    gateway = 'command = ["sh", "colored.sh"]\nready = { log = "^INFO listening$" }'
    return iotsim.run(iotsim.meters(gateway=gateway, expect=ASKS))


@background(job=colored)
def test_colors_and_a_prompt_in_a_terminal(done: Done) -> None:
    assert done.status == 0, done.text
    assert done.result["duration_s"] < 10  # of 20: the prompt was heard without a newline
    lines = [event["line"] for event in done.events_of("gateway-output")]
    assert lines == done.result["gateway"]["last_lines"] == ["INFO listening", "login: "]
    assert done.log == "\033[32mINFO\033[0m listening\033[K\nlogin: "


STREAMS = "import os, sys; print([os.isatty(fd) for fd in range(3)], repr(sys.stdin.read()))"
GIVEN_STREAMS = {
    "default": ("", "[False, True, True] ''"),
    "pipes": ("terminal = false", "[False, False, False] ''"),
    "file": ('stdin = "input.txt"', "[False, True, True] 'typed'"),
}


def streams(iotsim: CommandLine, given: str, printed: str) -> Done:
    iotsim.write("input.txt", "typed")
    iotsim.write("streams.py", STREAMS)
    gateway = f'command = ["python3", "-IS", "streams.py"]\n{given}'
    return iotsim.run(iotsim.meters(gateway=gateway, expect=EXITS))


@background(job=streams)
@pytest.mark.parametrize(("given", "printed"), GIVEN_STREAMS.values(), ids=GIVEN_STREAMS)
def test_its_standard_streams(given: str, printed: str, done: Done) -> None:
    assert done.status == 0, done.text
    assert done.log == f"{printed}\n"


def reads_until_the_end(iotsim: CommandLine) -> Done:
    code = "import sys; print('up', flush=True); sys.stdin.read(); print('the input has ended')"
    gateway = f'command = ["python3", "-ISc", "{code}"]\nstdin = "open"'
    expect = '[[expect]]\nname = "stays"\ngateway = { running = true }'
    return iotsim.run(iotsim.meters(gateway=gateway, expect=expect), *FOR_2_S)


@background(job=reads_until_the_end)
def test_an_input_that_stays_open(done: Done) -> None:
    assert done.status == 0, done.text
    assert done.log == "up\n"


def no_input(iotsim: CommandLine) -> Done:
    return iotsim.run(iotsim.meters(gateway='command = ["true"]\nstdin = "missing.txt"'))


@background(job=no_input)
def test_an_input_that_is_missing_is_an_error_in_a_line(done: Done) -> None:
    assert done.status == 2
    missing = f"{done.out.parent}/missing.txt: No such file or directory"
    assert done.text.endswith(f"iotsim: the gateway cannot be started: its stdin, {missing}\n")


def ends_too_early(iotsim: CommandLine) -> Done:
    return iotsim.run(iotsim.meters(gateway='command = ["true"]'))


@background(job=ends_too_early)
def test_an_exit_with_0_before_anything_was_heard_is_called_that(done: Done) -> None:
    assert done.status == 1
    first = done.result["notes"][0]
    assert first.startswith("The gateway exited with status 0 after 0.")
    assert first.endswith(" s, before any message came from it.")
    assert first in done.text


def polls_13_of_14(iotsim: CommandLine) -> Done:
    gateway = ["python3", "examples/polling_gateway.py", "--devices", "10.77.1.1-10.77.1.13"]
    return iotsim.run("quickstart", "--", *gateway, "--rounds", "1")


@background(job=polls_13_of_14)
def test_a_meter_that_is_forgotten_is_named(done: Done) -> None:
    assert done.status == 1
    (failed,) = [e for e in done.result["expectations"] if not e["passed"]]
    assert (failed["name"], failed["devices"]) == ("every meter is polled", ["meter[13]"])
    assert "meter[13]" in done.text
    assert done.result["counters"]["outcome.answered"] == 13


SPEAKS_ONCE = """
from iotsim import Device

class Meter(Device):
    async def run(self):
        await self.sleep({after})
        await self.send({{"kind": "REPORT", "device": 1, "seq": 1, "value": 1.0}}, to=self.gateway)
        await self.sleep(60)
"""
BOTH_SPOKE = """
[[expect]]
name = "the gateway spoke"
gateway = { stdout = { contains = "up" } }

[[expect]]
name = "the meters spoke"
each = "meter"
sends = { kind = "REPORT" }
within = "15s"
"""


def out_of_silence(iotsim: CommandLine, gateway_s: float, meters_s: float) -> Done:
    iotsim.write("once.py", SPEAKS_ONCE.format(after=meters_s))
    command = f'command = ["sh", "-c", "sleep {gateway_s}; echo up; exec sleep 60"]\nport = 7000'
    rules = 'behavior = "once.py:Meter"'
    return iotsim.run(iotsim.meters(gateway=command, rules=rules, expect=BOTH_SPOKE))


@background(job=out_of_silence)
@pytest.mark.parametrize(("gateway_s", "meters_s"), [(0.8, 0.4), (0.4, 0.8)])
def test_what_breaks_a_silence_is_seen_at_once(
    gateway_s: float, meters_s: float, done: Done
) -> None:
    assert done.status == 0, done.text
    assert 0.8 < done.result["duration_s"] < 8  # of 20
