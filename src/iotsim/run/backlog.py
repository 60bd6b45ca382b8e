"""What is recorded and not written yet, in memory that two processes share.

Whichever of them writes it, the other can go on where that one was killed: a piece stays until it is known to
be in its file, and how far the files are whole is known along with that.

======  =========================================================================================
word    of the shared memory, 8 bytes each
======  =========================================================================================
0       how many bytes were ever put in
1       which of two states holds, 0 or 1, so that a state changes at once
2...    both states: how many bytes were ever taken out; of each file its size, and how many appends
        it has lost
======  =========================================================================================

Then a text for each file, why it has lost some. Then, from the beginning of a page, the pieces: a word with
the length, and the data, padded to whole words. A piece for which there is no room
before the end of the memory is at its beginning. So is one that comes when there is none: no more memory is
touched than was needed at some time, and `release` gives that back.
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.run.files import AppendFile

BYTES = 128 << 20
"""Some 280,000 requests and answers, as events and as packets."""
WORD = 8
WORTH_RELEASING = 1 << 20
ERROR_BYTES = 96
SKIP = 1 << 63
"""In place of a piece: the next one is at the beginning."""
_PUT, _WHICH, _STATES = range(3)


class Piece(NamedTuple):
    """`end` is how many bytes have been taken out with it."""

    data: bytes
    end: int


class Backlog:
    """Pieces of what is to be in `files`, which come out in the order in which they were put in.

    One process puts them in. One process, at a time, takes them out: it writes what `next` gives, and then
    says that it is `done`. `size` is in bytes, a multiple of 16; a piece of `largest` has room at least when
    nothing else is there, and one that is larger never.
    """

    def __init__(self, files: Sequence[AppendFile], size: int = BYTES) -> None:
        self._files = files
        self._size = size
        self.largest = size // 2 - WORD
        words = 1 + 2 * len(files)
        self._errors = WORD * (_STATES + 2 * words)
        end = self._errors + ERROR_BYTES * len(files)
        self._first = first = end + -end % mmap.PAGESIZE
        self._touched = 0
        self._memory = mmap.mmap(-1, first + size)
        self._words = memoryview(self._memory)[: self._errors].cast("Q")
        self._states = self._words[_STATES : _STATES + words], self._words[_STATES + words :]
        self._pieces = memoryview(self._memory)[first:]
        self._heads = self._pieces.cast("Q")
        self._note(0)

    @property
    def put_in(self) -> int:
        """How many bytes were ever put in."""
        return self._words[_PUT]

    @property
    def taken_out(self) -> int:
        """How many of them were taken out."""
        return self._states[self._words[_WHICH]][0]

    def put(self, data: bytes) -> bool:
        """Put in a piece. False: there is no room now."""
        length = len(data)
        if length > self.largest:
            return False
        needed = WORD + length + -length % WORD
        put, taken = self.put_in, self.taken_out
        at, begin = put % self._size, put
        if at + needed > self._size or (put == taken and at >= needed):
            begin += self._size - at
        if put == taken and begin % self._size + needed <= self._size:
            taken = begin  # what is skipped is as good as taken out
        if begin + needed - taken > self._size:
            return False
        if begin != put:
            self._heads[at // WORD] = SKIP
            at = 0
        self._heads[at // WORD] = length
        self._pieces[at + WORD : at + WORD + length] = data
        self._words[_PUT] = begin + needed  # last: what is counted is there
        if at + needed > self._touched:
            self._touched = at + needed
        return True

    def release(self) -> None:
        """Give back the memory of pieces, if nothing is left in. It is the process that puts them in which
        may."""
        if self._touched >= WORTH_RELEASING and self.put_in == self.taken_out:
            length = self._touched + -self._touched % mmap.PAGESIZE
            self._touched = 0
            with suppress(OSError):  # then it stays
                self._memory.madvise(mmap.MADV_REMOVE, self._first, length)

    def next(self, until: int) -> Piece | None:
        """The piece whose turn it is, of the first `until` bytes that were ever put in."""
        taken = self.taken_out
        if taken >= until:
            return None
        at = taken % self._size
        head = self._heads[at // WORD]
        if head == SKIP:
            taken += self._size - at
            at, head = 0, self._heads[0]
        data = bytes(self._pieces[at + WORD : at + WORD + head])
        return Piece(data, taken + WORD + head + -head % WORD)

    def done(self, piece: Piece) -> None:
        """`piece` is in the files, or was lost by them."""
        for number, file in enumerate(self._files):
            if file.error:
                place = self._errors + ERROR_BYTES * number
                error = file.error.encode()[:ERROR_BYTES]
                self._memory[place : place + ERROR_BYTES] = error.ljust(ERROR_BYTES, b"\0")
        self._note(piece.end)

    def take_over(self) -> None:
        """Let the files be as they are known to be whole: another process wrote them, and is no more."""
        _, *words = self._states[self._words[_WHICH]]
        for number, file in enumerate(self._files):
            place = self._errors + ERROR_BYTES * number
            error = self._memory[place : place + ERROR_BYTES].rstrip(b"\0")
            file.size, file.lost_appends = words[2 * number : 2 * number + 2]
            file.error = error.decode(errors="replace") or file.error
            file.cut()

    def _note(self, taken: int) -> None:
        """Have the state that does not hold say what is so now, and then hold."""
        which = 1 - self._words[_WHICH]
        state = self._states[which]
        state[0] = taken
        for number, file in enumerate(self._files):
            state[1 + 2 * number], state[2 + 2 * number] = file.size, file.lost_appends
        self._words[_WHICH] = which
