"""A service that does not come up is the scenario's fault, or its own: it is named with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.run.northbound import service
from iotsim.run.northbound.http import HttpService
from iotsim.run.northbound.service import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable


async def test_what_was_waited_for_is_told_with_its_place(
    serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def live(_self: HttpService, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(HttpService, "live", live)
    monkeypatch.setattr(service, "START_TIMEOUT_S", 0.05)
    with pytest.raises(BaseException) as caught:  # perhaps in a group
        async with serving(kind="http", place="s.toml:7"):
            pass
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, ServiceError)
    assert str(error).startswith(
        "northbound.cloud (s.toml:7) was not ready in time: in 50 ms nothing listened at port "
    )
