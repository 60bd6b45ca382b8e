"""Figures for people, as short as they tell what is to be seen."""

from __future__ import annotations


def number(value: float) -> str:
    """``12,345``; ``1.23 M`` from a million on."""
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def span(seconds: float) -> str:
    """A span of time to two digits: ``310 µs``, ``12 ms``, ``1.2 s``."""
    value, unit = seconds, "s"
    for smaller in ("ms", "µs"):
        if value < 1:
            value, unit = value * 1e3, smaller
    rounded = float(f"{value:.2g}")
    return f"{rounded:.0f} {unit}" if rounded >= 10 else f"{rounded:g} {unit}"
