"""An hour of polling in a minute: the gateway's clock and the simulation's go alike, over a real TUN."""

from __future__ import annotations

import statistics
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.conftest import Done

if TYPE_CHECKING:
    from tests.conftest import CommandLine

pytestmark = pytest.mark.needs("tun", "faketime", "cc")
background = pytest.mark.background

SPEED = 60
PERIOD_S = 60.0
# A real 20 ms are 1.2 s here: what is within that cannot be told from noise, and this machine is a busy one.
METERS = """
[scenario]
duration = "{duration}"
until = "duration"
speed = {speed}
{link}
[gateway]
command = {command}
[devices.meter]
count = 2
address = "10.77.1.1"
protocol = "sensornet"
[[devices.meter.rules]]
when = {{ kind = "READ" }}
reply = {{ kind = "REPORT", value = 20.5 }}
delay = "2s"
[[devices.meter.rules]]
every = "10m"
send = {{ kind = "REPORT", device = 1, seq = 1, value = 1 }}
to = "10.77.0.1:9000"
{expect}
"""
EXPECT = """
[[expect]]
name = "polled about every minute"
each = "meter"
receives = { kind = "READ" }
count = { min = 1 }
per = "2m30s"
[[expect]]
name = "polled often"
each = "meter"
receives = { kind = "READ" }
count = { min = 50, max = 62 }
"""
IN_PYTHON = '''
"""Polls by turns each of the addresses; waits by select for the one half, and sleeps for the other."""
import binascii, select, socket, struct, sys, time

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
number = 0
due = time.monotonic()
while True:
    for address in sys.argv[1].split(","):
        number += 1
        body = b"SN" + struct.pack("!BBHIHB", 1, 1, 9, 7, number % 65536, 0)
        sock.sendto(body + struct.pack("!H", binascii.crc_hqx(body, 0xFFFF)), (address, 5600))
        if select.select([sock], [], [], 20)[0]:
            sock.recv(2048)
        else:
            print("timeout", number, flush=True)
    print(f"{time.time():.3f}", flush=True)
    due += 60
    left = due - time.monotonic()
    if number % 4 == 2:
        time.sleep(max(0, left))
    else:
        select.select([], [], [], max(0, left))
'''
IN_C = r"""
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static uint16_t crc(const unsigned char *data, int count)
{
    uint16_t crc = 0xFFFF;
    for (int i = 0; i < count; i++) {
        crc ^= data[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
    }
    return crc;
}

int main(int count, char **words)
{
    int sock = socket(AF_INET, SOCK_DGRAM, 0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct timespec start, due;
    clock_gettime(CLOCK_MONOTONIC, &start);
    due = start;
    for (uint16_t number = 1;; number++) {
        char list[256];
        snprintf(list, sizeof list, "%s", words[count - 1]);
        for (char *address = strtok(list, ","); address; address = strtok(NULL, ",")) {
            unsigned char data[15] = {'S', 'N', 1, 1, 0, 9, 0, 0, 0, 7, number >> 8, number, 0};
            uint16_t sum = crc(data, 13);
            data[13] = sum >> 8;
            data[14] = sum;
            struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(5600)};
            inet_pton(AF_INET, address, &to.sin_addr);
            sendto(sock, data, sizeof data, 0, (struct sockaddr *)&to, sizeof to);
            struct pollfd answer = {sock, POLLIN, 0};
            if (poll(&answer, 1, 20000) == 1)
                recv(sock, list + 128, 100, 0);
            else
                puts("timeout");
        }
        fflush(stdout);
        due.tv_sec += 60;
        if (number % 2) {
            uint64_t expirations;
            struct itimerspec once = {.it_value = due};
            timerfd_settime(timer, TFD_TIMER_ABSTIME, &once, NULL);
            read(timer, &expirations, sizeof expirations);
        } else {
            struct timespec now, left;
            clock_gettime(CLOCK_MONOTONIC, &now);
            left.tv_sec = due.tv_sec - now.tv_sec;
            left.tv_nsec = due.tv_nsec - now.tv_nsec;
            if (left.tv_nsec < 0) {
                left.tv_sec--;
                left.tv_nsec += 1000000000;
            }
            if (left.tv_sec >= 0)
                nanosleep(&left, NULL);
        }
    }
}
"""


def scenario(
    iotsim: CommandLine, command: str, *, duration: str = "1h", link: str = "", expect: str = EXPECT
) -> Done:
    text = METERS.format(duration=duration, speed=SPEED, command=command, link=link, expect=expect)
    run = iotsim.start("run", iotsim.write("hour.toml", text), "--out", iotsim.out)
    printed, _ = run.communicate(timeout=180)
    return Done(run.returncode, printed, iotsim.out)


def in_python(iotsim: CommandLine) -> Done:
    iotsim.write("gateway.py", IN_PYTHON)
    return scenario(iotsim, f'["{sys.executable}", "gateway.py", "${{devices.meter.addresses}}"]')


def in_c(iotsim: CommandLine, *options: str) -> Done:
    source = iotsim.write("gateway.c", IN_C)
    compiled = iotsim.start_other(["cc", "-O1", *options, "-o", "gateway", str(source)])
    assert compiled.wait(60) == 0
    return scenario(
        iotsim, '["./gateway", "${devices.meter.addresses}"]', link="[link]\nqueues = 2\n"
    )


def polls(done: Done, device: str) -> list[float]:
    return [e["t"] for e in done.events_of("received") if e["device"] == device]


def is_an_hour_of_polling(done: Done) -> None:
    assert done.result["verdict"] in ("passed", "inconclusive"), done.text
    assert done.result["speed"] == SPEED
    assert 3600 <= done.result["duration_s"] < 3700
    for device in ("meter[0]", "meter[1]"):
        times = polls(done, device)
        assert 57 <= len(times) <= 62
        gaps = [after - before for before, after in pairwise(times)]
        assert statistics.median(gaps) == pytest.approx(PERIOD_S, abs=1.0)
        # The periods are counted from the start, so that what is late once does not add up.
        assert times[-1] - times[0] == pytest.approx(PERIOD_S * (len(times) - 1), abs=60)
        assert sorted(gaps)[len(gaps) // 10] > PERIOD_S - 6
    spoken = [
        e["t"]
        for e in done.events_of("sent")
        if e["device"] == "meter[0]" and e["message"]["value"] == 1
    ]
    assert len(spoken) >= 5


@background(job=in_python)
def test_a_gateway_in_python_polls_for_an_hour_in_a_minute(done: Done) -> None:
    is_an_hour_of_polling(done)
    # Its clock is the run's: what it printed was as late as its events are.
    wall = [float(line) for line in done.log.splitlines() if "timeout" not in line]
    outputs = [e["t"] for e in done.events_of("gateway-output") if "timeout" not in e["line"]]
    zero = done.events_of("run-started")[0]["wall_time"]
    apart = [abs(told - zero - t) for told, t in zip(wall, outputs, strict=True)]
    assert statistics.median(apart) < 3


@background(job=in_c)
def test_a_gateway_in_c_polls_for_an_hour_in_a_minute(done: Done) -> None:
    is_an_hour_of_polling(done)


def static(iotsim: CommandLine) -> Done:
    return in_c(iotsim, "-static")


@background(job=static)
def test_a_static_gateway_is_refused(done: Done) -> None:
    assert done.status == 2
    assert "gateway is statically linked" in done.text
    assert "speed" in done.text


def static_child(iotsim: CommandLine) -> Done:
    source = iotsim.write("gateway.c", IN_C)
    assert iotsim.start_other(["cc", "-static", "-o", "inner", str(source)]).wait(60) == 0
    iotsim.write("gateway.sh", '#!/bin/sh\n./inner "$1"\n')
    (iotsim.folder / "gateway.sh").chmod(0o755)
    folder = str(iotsim.folder)
    command = '["./gateway.sh", "${devices.meter.addresses}"]\ncwd = "' + folder + '"'
    return scenario(iotsim, command, duration="3m", expect="")


@background(job=static_child)
def test_a_static_child_is_told_of(done: Done) -> None:
    told = [event["text"] for event in done.events_of("note") if "statically" in event["text"]]
    assert len(told) == 1
    assert "inner, which is statically linked: its clock goes on at the usual pace" in told[0]


def without_the_library(iotsim: CommandLine) -> Done:
    iotsim.write("gateway.py", IN_PYTHON)
    iotsim.environment["PATH"] = "/nowhere"
    return scenario(iotsim, f'["{sys.executable}", "gateway.py", "${{devices.meter.addresses}}"]')


@background(job=without_the_library)
def test_a_machine_that_lacks_something_skips_the_run_with_the_fix(done: Done) -> None:
    assert done.status == 3
    assert "sudo apt install faketime gcc libc6-dev" in done.text
