"""What stands on the time axis."""

from __future__ import annotations

from tests.results.html.generated import run_ended, run_started
from tests.results.html.reading import document_of

from iotsim.events import CommandDone, StepDone


def test_what_a_step_has_done_is_told_once() -> None:
    document = document_of(
        [
            run_started(),
            CommandDone(1.0, {"do": "reboot", "devices": "meter"}),
            CommandDone(3.0, {"do": "northbound", "action": "stop"}),
            StepDone(3.00004, "the cloud goes down"),
            run_ended(4.0),
        ]
    )
    told = [
        (mark["what"], mark["text"]) for mark in document["marks"] if mark["what"] != "run-ended"
    ]
    assert told == [("command", "do=reboot, devices=meter"), ("step", "the cloud goes down")]
