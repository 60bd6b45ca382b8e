"""Delays, as netem distributes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

from iotsim.impair.ahead import Ahead
from iotsim.rng import normal, normals, unit, units53

Shape: TypeAlias = Literal["uniform", "normal", "pareto"]
Draws: TypeAlias = Callable[[int, int], float]
"""Number `count` of device `index`."""
DrawsMany: TypeAlias = Callable[[int, int, int], list[float]]
"""As many numbers of device `index`, from `count` on."""
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

    @property
    def constant_s(self) -> float | None:
        """What all delays are; None if they differ."""
        return None if self.deviation_s else self.mean_s

    def draws(self, stream: int) -> Draws:
        """What draws from `stream`: called with an index and a count, it gives seconds."""
        mean_s, deviation_s, shape = self
        if (constant_s := self.constant_s) is not None:
            return lambda _index, _count: constant_s
        deviate, _ = _DEVIATES[shape]

        def draw(index: int, count: int) -> float:
            delay_s = mean_s + deviation_s * deviate(stream, index, count)
            return max(0.0, delay_s)

        return draw

    def draws_ahead(self, stream: int) -> Ahead:
        """The same as `draws`, ahead."""
        mean_s, deviation_s, shape = self
        _, spread = _DEVIATES[shape]

        def draw_many(index: int, count: int, size: int) -> list[float]:
            delays = spread(mean_s, deviation_s, stream, index, count, size)
            return delays if min(delays) >= 0 else [max(0.0, delay_s) for delay_s in delays]

        return Ahead(self.draws(stream), draw_many)


def _uniform(stream: int, index: int, count: int) -> float:
    return 2.0 * unit(stream, index, count) - 1.0


def _uniforms(
    mean: float, deviation: float, stream: int, index: int, count: int, size: int
) -> list[float]:
    drawn = units53(stream, index, count, size)
    return [mean + deviation * (one * 2.0**-52 - 1.0) for one in drawn]


def _normals(
    mean: float, deviation: float, stream: int, index: int, count: int, size: int
) -> list[float]:
    return [mean + deviation * one for one in normals(stream, index, count, size)]


def _pareto(stream: int, index: int, count: int) -> float:
    pareto: float = (1.0 - unit(stream, index, count)) ** (-1.0 / PARETO_SHAPE)
    return (pareto - PARETO_MEAN) / PARETO_DEVIATION


def _paretos(
    mean: float, deviation: float, stream: int, index: int, count: int, size: int
) -> list[float]:
    drawn = units53(stream, index, count, size)
    return [
        mean
        + deviation
        * (((1.0 - one * 2.0**-53) ** (-1.0 / PARETO_SHAPE) - PARETO_MEAN) / PARETO_DEVIATION)
        for one in drawn
    ]


_DEVIATES: dict[
    Shape,
    tuple[
        Callable[[int, int, int], float],
        Callable[[float, float, int, int, int, int], list[float]],
    ],
] = {
    "uniform": (_uniform, _uniforms),
    "normal": (normal, _normals),
    "pareto": (_pareto, _paretos),
}
"""Of each shape: one deviate, and many numbers of a mean and a deviation."""
