"""Delays, as netem distributes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

from iotsim.rng import normal, unit

Shape: TypeAlias = Literal["uniform", "normal", "pareto"]
Draws: TypeAlias = Callable[[int, int], float]
"""Number `count` of device `index`."""
SHAPES: tuple[Shape, ...] = ("uniform", "normal", "pareto")

PARETO_SHAPE = 3.0
"""As the table that netem brings: its mean and variance are finite, its skewness is not."""
PARETO_MEAN = PARETO_SHAPE / (PARETO_SHAPE - 1)
PARETO_DEVIATION: float = (PARETO_SHAPE / (PARETO_SHAPE - 2)) ** 0.5 / (PARETO_SHAPE - 1)


class Delay(NamedTuple):
    """A delay of ``mean_s`` seconds. ``deviation_s`` is half the width of the interval if it is uniform, else
    the standard deviation. Less than nothing is nothing."""

    mean_s: float
    deviation_s: float = 0.0
    shape: Shape = "uniform"

    def draws(self, stream: int) -> Draws:
        """What draws from `stream`: called with an index and a count, it gives seconds."""
        mean_s, deviation_s, shape = self
        if not deviation_s:
            return lambda _index, _count: mean_s
        deviate = _DEVIATES[shape]

        def draw(index: int, count: int) -> float:
            delay_s = mean_s + deviation_s * deviate(stream, index, count)
            return max(0.0, delay_s)

        return draw


def _uniform(stream: int, index: int, count: int) -> float:
    return 2.0 * unit(stream, index, count) - 1.0


def _pareto(stream: int, index: int, count: int) -> float:
    pareto: float = (1.0 - unit(stream, index, count)) ** (-1.0 / PARETO_SHAPE)
    return (pareto - PARETO_MEAN) / PARETO_DEVIATION


_DEVIATES: dict[Shape, Callable[[int, int, int], float]] = {
    "uniform": _uniform,
    "normal": normal,
    "pareto": _pareto,
}
