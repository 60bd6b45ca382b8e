"""What errors say in a line."""

from __future__ import annotations

import pytest

from iotsim.errors import IotsimError, in_one_line
from iotsim.session import Unanswered


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (IotsimError("no TUN\nhere"), "no TUN"),
        (KeyError("a"), "KeyError: 'a'"),
        (ValueError("one\ntwo"), "ValueError: one"),
        (ValueError("\n one"), "ValueError: one"),
        (ValueError(), "ValueError"),
        (Unanswered(""), "Unanswered"),
    ],
)
def test_an_error_is_a_line_also_where_it_says_nothing(error: Exception, line: str) -> None:
    assert in_one_line(error) == line


def test_a_name_that_tells_people_nothing_is_left_out() -> None:
    assert in_one_line(ValueError("one"), named=False) == "one"
    assert in_one_line(ValueError(), named=False) == "ValueError"
