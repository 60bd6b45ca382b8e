"""Northbound services in the gateway's private network, with the clients that people use."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done
    from tests.live.conftest import OrdinaryUser

pytestmark = pytest.mark.needs("tun")
needs = pytest.mark.needs

HEAD = """
[scenario]
duration = "30s"
until = "gateway_exit"
[devices.meter]
address = "10.77.1.1"
protocol = "sensornet"
port = 5602    # taken by no other test: over the loopback link, it is the machine's
[[expect]]
name = "the gateway is content"
gateway = { exit = 0 }
[gateway]
command = ["sh", "gateway.sh"]
"""


def run(iotsim: CommandLine, script: str, text: str, *arguments: str, gateway: str = "") -> Done:
    iotsim.write("gateway.sh", f"set -e\n{script}\n")
    scenario = iotsim.write("n.toml", HEAD + gateway + "\n" + text)
    return iotsim.run(scenario, *arguments)


def fields(done: Done, service: str) -> list[dict[str, Any]]:
    return [one["fields"] for one in done.events_of("northbound") if one["service"] == service]


@needs("curl")
def test_curl_over_http_and_tls(iotsim: CommandLine) -> None:
    script = """
    curl -sS -w ' %{http_code}\\n' --data @body.json -H 'Content-Type: application/json' $CLOUD/r?a=1
    curl -sS -w ' %{http_code}\\n' -X PUT -T body.json -H 'Expect: 100-continue' $CLOUD/put
    curl -sS -I $CLOUD/head | head -1
    curl -sS --cacert $CA -w '%{http_code}\\n' https://cloud.example:8443/safe
    curl -sS https://cloud.example:8443/unsafe || echo "curl exits with $?"
    """
    text = """
    [link]
    hosts = { "cloud.example" = "northbound.safe" }
    [northbound.cloud]
    kind = "http"
    [[northbound.cloud.rules]]
    when = { method = "POST" }
    reply = { status = 202, json = { n = "=msg.json.n + 1" } }
    [northbound.safe]
    kind = "http"
    tls = true
    """
    iotsim.write("body.json", '{"n": 41}')
    environment = (
        'env = { CLOUD = "${northbound.cloud.url}", CA = "${northbound.safe.ca}" }\ncwd = "."'
    )
    done = run(iotsim, script, text, gateway=environment)
    assert done.status == 0, done.text
    assert done.log.startswith('{"n":42} 202\n 200\nHTTP/1.1 200 OK')
    assert "curl exits with 60" in done.log
    seen = [(one["method"], one["path"], one["status"]) for one in fields(done, "cloud")]
    assert seen == [("POST", "/r", 202), ("PUT", "/put", 200), ("HEAD", "/head", 200)]
    safe, unsafe = fields(done, "safe")
    assert (safe["path"], safe["headers"]["host"]) == ("/safe", "cloud.example:8443")
    assert unsafe["error"].startswith("the TLS handshake failed: ")
    assert "northbound-ca.pem" in done.result["files"]
    assert done.result["counters"]["northbound.cloud.requests"] == 3


by_topic = itemgetter("topic")


@needs("mosquitto", "mosquitto_pub")
def test_what_is_published_is_seen_once_as_it_was_published(iotsim: CommandLine) -> None:
    script = """
    pub="mosquitto_pub -h $BROKER -p 1883"
    for qos in 0 1 2; do
        $pub -q $qos -t plain/$qos -m $qos
        $pub -q $qos -t kept/$qos -m '{"q": '$qos'}' -r
    done
    printf '\\377\\000' | $pub -t raw -s
    seq 500 | $pub -q 1 -t many -l
    mosquitto_pub --cafile $CA -p 8883 -h 127.0.0.1 -t safe -m 'over tls'
    mosquitto_sub -h $BROKER -t 'kept/#' -v -C 3
    """
    text = """
    [northbound.broker]
    kind = "mqtt"
    [northbound.safe]
    kind = "mqtt"
    tls = true
    """
    environment = 'env = { BROKER = "${northbound.broker.address}", CA = "${northbound.safe.ca}" }'
    done = run(iotsim, script, text, gateway=environment + '\ncwd = "."')
    assert done.status == 0, done.text
    seen = fields(done, "broker")
    expected: list[dict[str, Any]] = []
    for qos in range(3):
        plain = {"topic": f"plain/{qos}", "payload": str(qos), "json": qos}
        kept = {"topic": f"kept/{qos}", "payload": f'{{"q": {qos}}}', "json": {"q": qos}}
        expected.append({**plain, "qos": qos, "retain": False})
        expected.append({**kept, "qos": qos, "retain": True})
    expected.append({"topic": "raw", "payload": "hex:ff00", "qos": 0, "retain": False})
    # What is published with QoS 2 takes two exchanges, which others may overtake.
    many = [one for one in seen if one["topic"] == "many"]
    others = [one for one in seen if one["topic"] != "many"]
    assert sorted(others, key=by_topic) == sorted(expected, key=by_topic)
    assert [one["json"] for one in many] == list(range(1, 501))
    assert {one["qos"] for one in many} == {1}
    assert [one["payload"] for one in fields(done, "safe")] == ["over tls"]
    assert sorted(done.log.splitlines()) == [f'kept/{qos} {{"q": {qos}}}' for qos in range(3)]


@needs("mosquitto", "mosquitto_pub")
def test_a_broker_that_is_stopped_and_started_loses_and_doubles_nothing(
    iotsim: CommandLine,
) -> None:
    script = """
    for n in $(seq 80); do
        until mosquitto_pub -q 1 -t t/$n -m $n -r 2>> refusals; do sleep 0.02; done
    done
    mosquitto_sub -t 't/#' -C 80 | sort -n | tail -1
    """
    text = """
    [northbound.broker]
    kind = "mqtt"
    """
    before = "ready"
    for number in (10, 40):
        text += f"""
    [[expect]]
    name = "{number} are there"
    northbound = "broker"
    receives = {{ json = {number} }}
    within = "25s"
    after = "{before}"
    [[step]]
    name = "away at {number}"
    after = "{number} are there"
    northbound = {{ broker = "stop" }}
    [[step]]
    name = "back at {number}"
    after = "away at {number}"
    delay = "200ms"
    northbound = {{ broker = "start" }}
    """
        before = f"back at {number}"
    done = run(iotsim, script, text)
    assert done.status == 0, done.text
    assert done.log == "80\n"
    assert (done.out / "work" / "refusals").read_text().strip()
    seen = [one["json"] for one in fields(done, "broker")]
    # What a stop cut the confirmation of, the client has published again, as QoS 1 has it.
    assert list(dict.fromkeys(seen)) == list(range(1, 81))
    assert len(seen) <= 83


@needs("mosquitto", "mosquitto_pub")
def test_a_gateway_that_is_killed_takes_no_service_with_it(iotsim: CommandLine) -> None:
    script = """
    touch life.$$
    mosquitto_pub -q 1 -t life -m "$(ls life.* | wc -l)" -r
    (while sleep 0.1; do :; done) &
    wait
    """
    text = """
    [northbound.broker]
    kind = "mqtt"
    [northbound.own]
    kind = "command"
    command = ["sh", "-c", "while sleep 0.1; do echo '{}'; done"]
    [[step]]
    name = "killed"
    after = "the first life is told of"
    gateway = "kill"
    [[step]]
    after = "killed"
    delay = "200ms"
    gateway = "start"
    [[expect]]
    name = "the first life is told of"
    northbound = "broker"
    receives = { topic = "life", json = 1 }
    within = "20s"
    [[expect]]
    name = "the second life is told of"
    northbound = "broker"
    receives = { topic = "life", json = 2 }
    within = "20s"
    [[expect]]
    name = "the server goes on"
    northbound = "own"
    receives = {}
    count = { min = 1 }
    after = "killed"
    """
    iotsim.write("gateway.sh", f"set -e\n{script}\n")
    content = '[[expect]]\nname = "the gateway is content"\ngateway = { exit = 0 }\n'
    head = HEAD.replace('until = "gateway_exit"', "").replace(content, "")
    done = iotsim.run(iotsim.write("n.toml", head + text))
    assert done.status == 0, done.text
    assert [one["payload"] for one in fields(done, "broker")] == ["1", "2"]


@needs("logger")
def test_logger_over_udp_and_tcp(iotsim: CommandLine) -> None:
    script = """
    logger -n 127.0.0.1 -P 514 -d -p local3.warning -t gw --rfc3164 'over udp'
    logger -n 127.0.0.1 -P 514 -T --octet-count -p daemon.err -t gw 'over tcp'
    logger -n ::1 -P 514 -T -t gw 'a line'
    """
    done = run(iotsim, script, '[northbound.log]\nkind = "syslog"')
    assert done.status == 0, done.text
    shown = ("facility", "severity", "app", "message", "format")
    assert [tuple(one[name] for name in shown) for one in fields(done, "log")] == [
        ("local3", "warning", "gw", "over udp", "rfc3164"),
        ("daemon", "err", "gw", "over tcp", "rfc5424"),
        ("user", "notice", "gw", "a line", "rfc5424"),
    ]


RESOLVE = """
import socket, struct, sys

def ask(name, kind, connect):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)
    with socket.socket(socket.AF_INET, connect) as sock:
        sock.settimeout(10)
        sock.connect(("127.0.0.1", 53))
        if connect == socket.SOCK_STREAM:
            sock.sendall(struct.pack("!H", len(query)) + query)
            data = sock.recv(4096)[2:]
        else:
            sock.send(query)
            data = sock.recv(4096)
    return data[3] & 15, struct.unpack("!H", data[6:8])[0]

for name in ("cloud.example", "ntp.example", "nowhere.example"):
    try:
        print(name, *sorted({found[4][0] for found in socket.getaddrinfo(name, 80)}))
    except socket.gaierror as error:
        print(name, error.errno == socket.EAI_NONAME)
    for transport in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        print(*ask(name, 1, transport), *ask(name, 28, transport), *ask(name, 15, transport))
print(open("/etc/resolv.conf").read(), end="")
"""


def test_names_are_resolved_by_files_and_by_asking(iotsim: CommandLine) -> None:
    iotsim.write("resolve.py", RESOLVE)
    text = """
    [link]
    hosts = { "cloud.example" = "northbound.cloud", "ntp.example" = "10.77.1.1" }
    [northbound.cloud]
    kind = "http"
    """
    before = subprocess.run(
        ["cat", "/etc/hosts", "/etc/resolv.conf"], capture_output=True, check=False
    )
    done = run(iotsim, f"{sys.executable} resolve.py", text, gateway='cwd = "."')
    assert done.status == 0, done.text
    assert done.log.splitlines() == [
        "cloud.example 127.0.0.1 ::1",
        *["0 1 0 1 0 0"] * 2,
        "ntp.example 10.77.1.1",
        *["0 1 0 0 0 0"] * 2,
        "nowhere.example True",
        *["3 0 3 0 3 0"] * 2,
        "nameserver 127.0.0.1",
    ]
    asked = "The gateway asked for names that [link] hosts does not have: nowhere.example."
    assert asked in done.result["notes"]
    after = subprocess.run(
        ["cat", "/etc/hosts", "/etc/resolv.conf"], capture_output=True, check=False
    )
    assert before.stdout == after.stdout


OWN = """
import json, socket, sys, time
print("not json", flush=True)
print("[1]", flush=True)
print("on stderr", file=sys.stderr, flush=True)
sock = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = sock.accept()
    with connection:
        got = connection.recv(100).decode()
        print(json.dumps({"got": got, "long": "x" * 10000}), flush=True)
        if got == "die":
            raise SystemExit(3)
        connection.sendall(b"ok")
"""
SAY = """
import socket, sys
with socket.create_connection(("127.0.0.1", 7000)) as own:
    own.sendall(sys.argv[1].encode())
    print(own.recv(9))
"""


def own(iotsim: CommandLine) -> str:
    iotsim.write("own.py", OWN)
    iotsim.write("say.py", SAY)
    return f"""
    [northbound.own]
    kind = "command"
    listen = 7000
    command = ["{sys.executable}", "own.py", "${{northbound.own.port}}"]
    """


def test_a_server_of_ones_own(iotsim: CommandLine) -> None:
    text = own(iotsim)
    done = run(iotsim, f"{sys.executable} say.py hello", text, gateway='cwd = "."')
    assert done.status == 0, done.text
    assert "  own: northbound, command, 127.0.0.1:7000\n" in done.text
    no_json, no_object, got = fields(done, "own")
    assert no_json == {"error": "a line that is no JSON", "line": "not json"}
    assert no_object == {"error": "a line that is JSON, and no object", "line": "[1]"}
    assert got == {"got": "hello", "long": "x" * 10000}
    assert (done.out / "northbound" / "own.log").read_text() == "on stderr\n"
    assert "northbound/" in done.result["files"]
    assert "lines of its output that are no JSON objects" in done.text


def test_a_server_that_ends_by_itself_is_no_failure_of_the_gateway(iotsim: CommandLine) -> None:
    text = own(iotsim)
    done = run(iotsim, f"{sys.executable} say.py die; sleep 60", text, gateway='cwd = "."')
    assert done.status == 2
    assert done.result["verdict"] == "error"
    (error,) = done.result["errors"]
    assert error == "northbound.own ended by itself: exit status 3: on stderr"


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        (
            '[northbound.own]\nkind = "command"\ncommand = ["/no/such/server"]',
            2,
            "northbound.own cannot be started: /no/such/server: No such file or directory",
        ),
        (
            '[northbound.own]\nkind = "command"\ncommand = ["sh", "-c", "echo oops >&2; exit 3"]\nlisten = 7',
            2,
            "northbound.own ended by itself: exit status 3: oops",
        ),
        (
            '[northbound.cloud]\nkind = "http"\nlisten = "192.0.2.1:80"',
            2,
            "northbound.cloud cannot listen at 192.0.2.1:80: Cannot assign requested address",
        ),
    ],
)  # fmt: skip
def test_a_service_that_cannot_start_says_why(
    iotsim: CommandLine, text: str, status: int, reason: str
) -> None:
    done = run(iotsim, "true", text)
    assert done.status == status
    assert reason in done.text


WITHOUT = """
import runpy, sys
import iotsim.run.northbound.files as files
for name in sys.argv.pop(1).split():
    setattr(files, name, "no_such_thing" if name == "SUBSTITUTE" else "no-such-broker")
runpy.run_module("iotsim", run_name="__main__")
"""


def run_without(iotsim: CommandLine, what: str, script: str, text: str) -> Done:
    """A run on a machine that lacks what these names of `files` say."""
    iotsim.write("gateway.sh", f"set -e\n{script}\n")
    scenario = iotsim.write("n.toml", HEAD + text)
    words = [sys.executable, "-c", WITHOUT, what, "run", str(scenario), "--out", str(iotsim.out)]
    return iotsim.finish(iotsim.start_other(words))


def test_without_a_broker_the_run_is_skipped_with_the_fix(iotsim: CommandLine) -> None:
    text = '[northbound.broker]\nkind = "mqtt"'
    done = run_without(iotsim, "BROKER SUBSTITUTE", "true", text)
    assert done.status == 3
    assert "no-such-broker is not installed" in done.text
    assert "or the lesser broker: pip install no_such_thing" in done.text
    assert "loopback" not in done.text


@needs("mosquitto_pub")
def test_without_mosquitto_another_broker_stands_in(iotsim: CommandLine) -> None:
    script = """
    for qos in 0 1 2; do
        mosquitto_pub -q $qos -t plain/$qos -m $qos
        mosquitto_pub -q $qos -t kept/$qos -m '{"q": '$qos'}' -r
    done
    mosquitto_pub --cafile $CA -p 8883 -h 127.0.0.1 -t safe -m 'over tls'
    until [ -s refusals ]; do mosquitto_pub -q 1 -t more -m no 2>> refusals || true; done
    until mosquitto_sub -t 'kept/#' -v -C 3 2>> refusals; do sleep 0.1; done
    """
    text = """
    env = { CA = "${northbound.safe.ca}" }
    [northbound.broker]
    kind = "mqtt"
    [northbound.safe]
    kind = "mqtt"
    tls = true
    [[expect]]
    name = "all was sent"
    northbound = "safe"
    receives = { topic = "safe", payload = "over tls" }
    within = "20s"
    [[step]]
    name = "stopped"
    after = "all was sent"
    northbound = { broker = "stop" }
    [[step]]
    after = "stopped"
    delay = "500ms"
    northbound = { broker = "start" }
    """
    done = run_without(iotsim, "BROKER", script, text)
    assert done.status == 0, done.text
    seen = [one for one in fields(done, "broker") if one["topic"].startswith(("plain", "kept"))]
    assert [(one["topic"], one["json"], one["qos"], one["retain"]) for one in seen] == [
        pair
        for qos in range(3)
        for pair in ((f"plain/{qos}", qos, qos, False), (f"kept/{qos}", {"q": qos}, qos, True))
    ]
    assert sorted(done.log.splitlines()) == [f'kept/{qos} {{"q": {qos}}}' for qos in range(3)]


def test_the_loopback_link_has_services_too(iotsim: CommandLine) -> None:
    script = f"{sys.executable} post.py"
    iotsim.write(
        "post.py",
        "import os, urllib.request as r; print(r.urlopen(os.environ['CLOUD'], b'[1]').status)",
    )
    text = """
    [northbound.cloud]
    kind = "http"
    listen = 18080
    """
    gateway = 'cwd = "."\nenv = { CLOUD = "${northbound.cloud.url}" }'
    done = run(iotsim, script, text, "--link", "loopback", gateway=gateway)
    assert done.status == 0, done.text
    assert [one["json"] for one in fields(done, "cloud")] == [[1]]


def test_a_port_of_the_machine_that_is_taken(iotsim: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = f'[northbound.cloud]\nkind = "http"\nlisten = {port}'
        done = run(iotsim, "true", text, "--link", "loopback")
    assert done.status == 3
    assert (
        f"northbound.cloud cannot listen at 127.0.0.1:{port}: Address already in use" in done.text
    )


@needs("root", "curl", "mosquitto", "mosquitto_pub")
def test_an_ordinary_user_has_all_of_it(ordinary_user: OrdinaryUser) -> None:
    script = """
    curl -sS --cacert $CA -w '%{http_code}\\n' https://cloud.example:443/
    mosquitto_pub -h broker.example -t t -m hello
    """
    (ordinary_user.home / "gateway.sh").write_text(f"set -e\n{script}")
    text = """
    env = { CA = "${northbound.cloud.ca}" }
    cwd = "."
    [link]
    hosts = { "cloud.example" = "northbound.cloud", "broker.example" = "northbound.broker" }
    [northbound.cloud]
    kind = "http"
    tls = true
    listen = 443
    [northbound.broker]
    kind = "mqtt"
    """
    (ordinary_user.home / "n.toml").write_text(HEAD + text)
    words = ordinary_user.words(
        sys.executable, "-m", "iotsim", "run", "n.toml", "--out", str(ordinary_user.home / "out")
    )
    done = subprocess.run(
        words,
        env=ordinary_user.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (ordinary_user.home / "out" / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    seen = [one["fields"] for one in events if one["event"] == "northbound"]
    assert [one.get("path", one.get("topic")) for one in seen] == ["/", "t"]
