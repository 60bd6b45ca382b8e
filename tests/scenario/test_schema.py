"""Models of tables, as they are built."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler

from iotsim.scenario.schema import built

if TYPE_CHECKING:
    from pydantic_core import CoreSchema


class Interrupting:
    """An annotation at which somebody presses Ctrl-C, as the model that has it is built."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        signal.raise_signal(signal.SIGINT)
        return handler(source)


class Interrupted(BaseModel):
    model_config = ConfigDict(defer_build=True)
    value: Annotated[int, Interrupting()]


def test_an_interrupt_waits_until_a_model_is_built() -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        built(Interrupted)
    assert signal.getsignal(signal.SIGINT) is handler
    assert built(Interrupted).model_validate({"value": 1}).value == 1
