"""Programs that are not on the PATH, and what installs them."""

from __future__ import annotations

import pytest

from iotsim.errors import MachineError
from iotsim.testbed.programs import install_line, require_programs


def test_what_is_there_is_not_asked_for() -> None:
    require_programs(["sh", "env"])
    require_programs([])


def test_the_missing_ones_are_named_with_the_line_that_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MachineError) as caught:
        require_programs(["ping", "sysctl", "ps", "my-tool"])
    assert caught.value.reason == (
        "not on the PATH: ping, sysctl, ps, my-tool, which the scenario requires"
    )
    assert caught.value.fix == "sudo apt install iputils-ping procps; put my-tool on the PATH"


@pytest.mark.parametrize(
    ("programs", "line"),
    [
        (["nmap"], "sudo apt install nmap"),
        (["one", "two"], "put one and two on the PATH"),
    ],
)
def test_install_line(programs: list[str], line: str) -> None:
    assert install_line(programs) == line
