"""What takes more than a scenario: tests of the gateway that look at it while it runs."""

import pathlib

ROOT = pathlib.Path(__file__).parents[1]
