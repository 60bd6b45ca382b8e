"""What a scenario says of a bulb, ``[devices.NAME.model]``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from iotsim import Table, Value


class Color(Table):
    hue: Value = Field(0.0, validate_default=True, description="degrees")
    saturation: Value = Field(0.0, validate_default=True, description="0 to 1")
    brightness: Value = Field(1.0, validate_default=True, description="0 to 1")
    kelvin: Value = Field(3500, validate_default=True)

    @model_validator(mode="after")
    def _in_range(self) -> Color:
        for name, (low, high) in RANGES.items():
            cell = getattr(self, name)
            number = cell.literal
            if cell.evaluate is None and not (
                isinstance(number, (int, float)) and low <= number <= high
            ):
                raise ValueError(f"{name} is a number from {low} to {high}")
        return self


RANGES = {"hue": (0, 360), "saturation": (0, 1), "brightness": (0, 1), "kelvin": (1500, 9000)}


class Model(Table):
    label: Value | None = Field(None, description="the device's name if it is not there")
    power: Value = Field(True, validate_default=True)
    color: Color = Field({}, validate_default=True)
    group: Value = Field("My room", validate_default=True)
    location: Value = Field("My home", validate_default=True)
    product: Annotated[int, Field(ge=1, lt=1 << 32)] = 27

    @model_validator(mode="after")
    def _is_a_switch(self) -> Model:
        if self.power.evaluate is None and not isinstance(self.power.literal, bool):
            raise ValueError("power is true or false")
        return self
