"""Delays, as netem distributes them."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from iotsim.rng import normal, unit

Shape: TypeAlias = Literal["uniform", "normal", "pareto"]
SHAPES: tuple[Shape, ...] = ("uniform", "normal", "pareto")

PARETO_SHAPE = 3.0
"""As the table that netem brings: its mean and variance are finite, its skewness is not."""
PARETO_MEAN = PARETO_SHAPE / (PARETO_SHAPE - 1)
PARETO_DEVIATION = (PARETO_SHAPE / (PARETO_SHAPE - 2)) ** 0.5 / (PARETO_SHAPE - 1)


class Delay(NamedTuple):
    """A delay of ``mean_s`` seconds. ``deviation_s`` is half the width of the interval if it is uniform, else
    the standard deviation. Less than nothing is nothing."""

    mean_s: float
    deviation_s: float = 0.0
    shape: Shape = "uniform"

    def draw(self, stream: int, index: int, count: int) -> float:
        """Number `count` of device `index`, in seconds."""
        if not self.deviation_s:
            return self.mean_s
        if self.shape == "uniform":
            deviate = 2.0 * unit(stream, index, count) - 1.0
        elif self.shape == "normal":
            deviate = normal(stream, index, count)
        else:
            pareto = float((1.0 - unit(stream, index, count)) ** (-1.0 / PARETO_SHAPE))
            deviate = (pareto - PARETO_MEAN) / PARETO_DEVIATION
        return max(0.0, self.mean_s + self.deviation_s * deviate)
