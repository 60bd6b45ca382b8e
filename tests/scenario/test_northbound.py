"""``[northbound.NAME]`` and ``[link] hosts``: what is built of them, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.errors import ScenarioError
from iotsim.northbound.rules import Answer, Rules
from iotsim.scenario.load import load_text
from iotsim.scenario.loading import Overrides

if TYPE_CHECKING:
    from iotsim.northbound.spec import NorthboundSpec
    from iotsim.scenario.model import Scenario

PLACE = Path("/nowhere/test.toml")
RESULTS = Path("/results")
HEAD = """
[gateway]
command = ["gw"]
[devices.meter]
address = "10.77.1.1"
protocol = "sensornet"
"""


def load(text: str, **overrides: Any) -> Scenario:
    return load_text(HEAD + text, PLACE, overrides=Overrides(**overrides))


def told(text: str, **overrides: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        load(text, **overrides)
    return "\n".join(
        f"{problem.path}: {problem.message}{f' ({problem.hint})' if problem.hint else ''}"
        for problem in caught.value.problems
    )


def service(text: str) -> NorthboundSpec:
    return load(f"[northbound.cloud]\n{text}").northbound["cloud"]


@pytest.mark.parametrize(
    ("text", "addresses", "port", "url"),
    [
        ('kind = "http"', ("127.0.0.1", "::1"), 8080, "http://127.0.0.1:8080"),
        ('kind = "http"\ntls = true', ("127.0.0.1", "::1"), 8443, "https://127.0.0.1:8443"),
        ('kind = "http"\nlisten = 80', ("127.0.0.1", "::1"), 80, "http://127.0.0.1:80"),
        ('kind = "http"\nlisten = "127.0.0.2:443"', ("127.0.0.2",), 443, "http://127.0.0.2:443"),
        ('kind = "http"\nlisten = "[fd77::1]:443"', ("fd77::1",), 443, "http://[fd77::1]:443"),
        ('kind = "http"\nlisten = "0.0.0.0:443"', ("0.0.0.0",), 443, "http://127.0.0.1:443"),
        ('kind = "mqtt"', ("127.0.0.1", "::1"), 1883, "mqtt://127.0.0.1:1883"),
        ('kind = "mqtt"\ntls = true', ("127.0.0.1", "::1"), 8883, "mqtts://127.0.0.1:8883"),
        ('kind = "udp"\nlisten = 9', ("127.0.0.1", "::1"), 9, "udp://127.0.0.1:9"),
        ('kind = "syslog"', ("127.0.0.1", "::1"), 514, "syslog://127.0.0.1:514"),
        ('kind = "command"\ncommand = ["srv"]', ("127.0.0.1", "::1"), 0, ""),
    ],
)
def test_where_a_service_listens(
    text: str, addresses: tuple[str, ...], port: int, url: str
) -> None:
    spec = service(text)
    assert (spec.addresses, spec.port, spec.url) == (addresses, port, url)


def test_placeholders_tell_the_gateway_and_servers_of_ones_own() -> None:
    scenario = load(
        """
        [northbound.cloud]
        kind = "http"
        tls = true
        [northbound.own]
        kind = "command"
        listen = 7000
        command = ["srv", "${northbound.own.port}", "${results}", "${devices.meter.first}"]
        env = { CLOUD = "${northbound.cloud.url}" }
        """
    )
    text = "${northbound.cloud.url} ${northbound.cloud.ca} ${northbound.own.address}"
    expanded = scenario.expand(text, RESULTS)
    assert expanded == "https://127.0.0.1:8443 /results/northbound-ca.pem 127.0.0.1"
    own = scenario.northbound["own"]
    words = [scenario.expand(word, RESULTS) for word in own.command]
    assert words == ["srv", "7000", "/results", "10.77.1.1"]
    assert own.env == {"CLOUD": "${northbound.cloud.url}"}


def test_rules_may_name_addresses() -> None:
    spec = service(
        'kind = "http"\n[[northbound.cloud.rules]]\nreply = { body = "${devices.meter.first}" }'
    )
    assert Rules(spec, 1, Answer()).answer({}, 0.0).body == b"10.77.1.1"


def test_a_rule_as_it_stands_in_the_format() -> None:
    spec = service(
        """
        kind = "http"
        [[northbound.cloud.rules]]
        name = "busy"
        when = { method = "POST", path = { regex = "^/readings" } }
        where = "msg.json.value > 3"
        skip = 1
        first = 2
        delay = "100ms"
        [northbound.cloud.rules.reply]
        status = 503
        headers = { retry-after = 1 }
        json = { ok = false, v = "=msg.json.value" }
        rate = "8kbit/s"
        """
    )
    rules = Rules(spec, 1, Answer())
    request = {"method": "POST", "path": "/readings/1", "json": {"value": 5}}
    answers = [rules.answer(request, 0.0) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 503, 503, 200]
    busy = answers[1]
    assert busy.headers == (("retry-after", "1"),)
    assert busy.body == b'{"ok":false,"v":5}'
    assert (busy.delay_s, busy.byte_s, busy.rule) == (0.1, 0.001, "busy")


def test_names_lead_to_services_and_addresses() -> None:
    scenario = load(
        """
        [link.hosts]
        "Cloud.example" = "northbound.cloud"
        "ntp.example" = "10.77.1.9"
        two = ["10.77.1.8", "fd77::8"]
        [northbound.cloud]
        kind = "http"
        tls = true
        """
    )
    assert scenario.host_addresses == {
        "cloud.example": ("127.0.0.1", "::1"),
        "ntp.example": ("10.77.1.9",),
        "two": ("10.77.1.8", "fd77::8"),
    }
    assert scenario.northbound["cloud"].names == ("cloud.example",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "northbound.cloud: the key 'kind' is missing"),
        ('kind = "htp"', "northbound.cloud.kind: must be 'http'"),
        ('kind = "http"\nlisten = 0', "northbound.cloud.listen: must be a port, or an address"),
        ('kind = "http"\nlisten = 70000', "northbound.cloud.listen: must be a port"),
        ('kind = "http"\nlisten = true', "northbound.cloud.listen: must be a port"),
        ('kind = "http"\nlisten = "cloud:80"', "northbound.cloud.listen: must be a port, or an address"),
        ('kind = "http"\nlisten = "127.0.0.1"', "northbound.cloud.listen: must be a port"),
        ('kind = "http"\ncommand = ["a"]', "'command' is for kind = \"command\""),
        ('kind = "http"\nlargest = "1TB"', "northbound.cloud.largest: must be from 1 byte"),
        ('kind = "http"\nlargest = 5', "northbound.cloud.largest: must be a text such as '1MB'"),
        ('kind = "http"\nkidn = 1', "northbound.cloud.kidn: unknown key (did you mean 'kind'?)"),
        ('kind = "udp"', "northbound.cloud: 'listen' is missing"),
        ('kind = "udp"\nlisten = 9\ntls = true', "'tls' is for http and mqtt, not for udp"),
        ('kind = "udp"\nlisten = 9\nlargest = "1kB"', "a datagram has 65507 bytes at most"),
        ('kind = "mqtt"\n[[northbound.cloud.rules]]', "'rules' are for http and udp, not for mqtt"),
        ('kind = "command"', "'command' is missing: the server to start"),
        ('kind = "command"\ncommand = []', "northbound.cloud.command: "),
        ('kind = "command"\ncommand = [""]', "the command's name is empty"),
        ('kind = "command"\ncommand = "a b"', 'must be a list of the program and its arguments: ["a", "b"]'),
        ('kind = "command"\ncommand = ["a"]\nenv = { "a=b" = "c" }', "no name and value for a variable"),
        (
            'kind = "command"\ncommand = ["${northbound.cloud.port}"]',
            "'${northbound.cloud.port}': the service has none without 'listen'",
        ),
        (
            'kind = "command"\nlisten = 7\ncommand = ["${northbound.cloud.url}"]',
            "'${northbound.cloud.url}': the service has none",
        ),
        (
            'kind = "command"\ncommand = ["${northbound.cluod.port}"]',
            "unknown placeholder '${northbound.cluod.port}'",
        ),
    ],
)  # fmt: skip
def test_problems_of_services(text: str, problem: str) -> None:
    assert problem in told(f"[northbound.cloud]\n{text}")


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("", "rules[0]: this rule does nothing: give it 'reply', 'delay' or 'drop'"),
        ("when = { metod = 'GET' }\ndrop = true", "when.metod: unknown field 'metod' (did you mean"),
        ("when = { status = 200 }\ndrop = true", "when.status: a rule decides the status"),
        ("when = { method = 5 }\ndrop = true", "5, but 'method' is a text"),
        ("where = 'msg.pth == 1'\ndrop = true", "the message has no field 'pth'"),
        ("where = 'temperature > 1'\ndrop = true", "where: "),
        ("where = 'state.n > 1'\ndrop = true", "where: the state has no 'n'"),
        ("drop = true\nreply = { status = 200 }", "a rule either drops what came or replies to it"),
        ("drop = true\ndelay = '1s'", "what is dropped has no delay"),
        ("reply = { status = 100 }", "reply.status: must be a status from 200 to 599"),
        ("reply = { status = '200' }", "reply.status: must be a status from 200 to 599"),
        ("reply = { stauts = 200 }", "reply.stauts: unknown key (did you mean 'status'?)"),
        ("reply = { json = 1, body = 'x' }", "reply.body: 'json' and 'body' at the same time"),
        ("reply = { body = { a = 1 } }", "reply.body: must be a text, or bytes"),
        ("reply = { json = '=msg.x' }", "reply.json: the message has no field 'x'"),
        ("reply = { json = { a = [{ b = '=(' }] } }", "reply.json.a[0].b: "),
        ("reply = { headers = { 'a b' = 'c' } }", "reply.headers.'a b': no name of a header"),
        ('reply = { headers = { a = "b\\nc" } }', "reply.headers.a: a header has control characters"),
        ("reply = { cut = -1 }", "reply.cut: must be true, or after how many bytes"),
        ("reply = { cut = false }", "reply.cut: must be true, or after how many bytes"),
        ("reply = { rate = 'slow' }", "reply.rate: 'slow' is no rate"),
        ("reply = 5", "reply: must be a table"),
        ("reply = {}\ndelay = 5", "delay: 5 has no unit"),
        ("reply = {}\nevery = 0", "every: must be greater than or equal to 1"),
        ("reply = {}\nskip = -1", "skip: must be greater than or equal to 0"),
        ("reply = {}\nfirst = 0", "first: must be greater than or equal to 1"),
    ],
)  # fmt: skip
def test_problems_of_rules(rule: str, problem: str) -> None:
    text = f'[northbound.cloud]\nkind = "http"\n[[northbound.cloud.rules]]\n{rule}'
    assert problem in told(text)


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ("{}", "reply: an empty reply"),
        ("{ status = 200 }", "reply.status: unknown key"),
        ("{ payload = 'a', json = 1 }", "reply.payload: 'json' and 'payload' at the same time"),
    ],
)
def test_problems_of_udp_replies(reply: str, problem: str) -> None:
    text = f'[northbound.u]\nkind = "udp"\nlisten = 9\n[[northbound.u.rules]]\nreply = {reply}'
    assert problem in told(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('a = "http"\nb = "http"', "northbound.b.listen: northbound.a has TCP port 8080 already"),
        (
            'a = "http:514"\nb = "syslog"',
            "northbound.b.listen: northbound.a has TCP port 514 already",
        ),
        (
            'a = "udp:514"\nb = "syslog"',
            "northbound.b.listen: northbound.a has UDP port 514 already",
        ),
        (
            'a = "http:0.0.0.0:8080"\nb = "http"',
            "northbound.b.listen: northbound.a has TCP port 8080",
        ),
        ('a = "http"\nb = "http:[::]:8080"', "northbound.b.listen: northbound.a has TCP port 8080"),
        ('a = "http:[::]:8080"\nb = "http:127.0.0.1:8080"', ""),
        ('a = "udp:514"\nb = "http:514"', ""),
        ('a = "http"\nb = "http:127.0.0.2:8080"', ""),
    ],
)
def test_no_two_services_listen_at_the_same_place(text: str, problem: str) -> None:
    tables = []
    for line in text.splitlines():
        name, _, rest = line.partition(" = ")
        kind, _, listen = rest.strip('"').partition(":")
        where = f"\nlisten = {listen if listen.isdigit() else repr(listen)}" if listen else ""
        tables.append(f'[northbound.{name}]\nkind = "{kind}"{where}')
    if problem:
        assert problem in told("\n".join(tables))
    else:
        load("\n".join(tables))


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ('hosts = { "a b" = "10.0.0.1" }', "link.hosts.'a b': no host name"),
        ('hosts = { "a..b" = "10.0.0.1" }', "no host name"),
        ('hosts = { "a.example" = 5 }', "must be 'northbound.NAME', an address, or a list of addresses"),
        ('hosts = { "a.example" = [] }', "must be 'northbound.NAME', an address"),
        ('hosts = { "a.example" = "b.example" }', "'b.example' is no IP address"),
        ('hosts = { a.example = "10.0.0.1" }', 'a table instead of where the name leads'),
        ('hosts = { "a.example" = "northbound.clod" }', "there is no [northbound.clod] (did you mean"),
        ('hosts = { "a" = "10.0.0.1" }\nisolate = "host"', "names can be given in a private network only"),
        ('hosts = { "a" = "10.0.0.1" }\nkind = "loopback"', "a loopback link has none"),
        ('hosts = 5', "link.hosts: must be a table"),
    ],
)  # fmt: skip
def test_problems_of_names(link: str, problem: str) -> None:
    assert problem in told(f'[link]\n{link}\n[northbound.cloud]\nkind = "http"')


def test_names_need_a_gateway_of_ours() -> None:
    text = '[link]\nhosts = { "a" = "10.0.0.1" }\n[devices.meter]\naddress = "10.77.1.1"'
    with pytest.raises(ScenarioError, match="iotsim does not start the gateway"):
        load_text(text, PLACE)
    load_text(text, PLACE, overrides=Overrides(gateway_command=("gw",)))


def test_the_name_server_has_a_port_of_its_own() -> None:
    text = '[link]\nhosts = { "a" = "10.0.0.1" }\n[northbound.dns]\nkind = "udp"\nlisten = 53'
    assert "northbound.dns.listen: link.hosts has UDP port 53 already" in told(text)


@pytest.mark.parametrize("place", ["listen", "kind"])
def test_placeholders_of_services_stand_where_they_are_known(place: str) -> None:
    text = f'[northbound.cloud]\nkind = "http"\n{place} = "${{northbound.cloud.port}}"'
    if place == "kind":
        text = text.replace('kind = "http"\n', "")
    assert "cannot stand here: addresses are not known yet" in told(text)


def test_the_authority_is_for_processes() -> None:
    cloud = '[northbound.c]\nkind = "http"\n'
    text = cloud + 'tls = true\n[[northbound.c.rules]]\nreply = { body = "${northbound.c.ca}" }'
    assert "'${northbound.c.ca}' can only stand in a command or 'env'" in told(text)
    text = cloud + '[northbound.d]\nkind = "command"\ncommand = ["${northbound.c.ca}"]'
    assert "the service has none without 'tls'" in told(text)
