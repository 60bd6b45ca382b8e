from __future__ import annotations

import os

import pytest

from iotsim.testbed import channel


def test_messages_and_descriptors_arrive_together() -> None:
    ours, theirs = channel.make_pair()
    reader, writer = os.pipe()
    channel.send(theirs, {"event": "ready"}, [writer])
    os.close(writer)
    message = channel.receive(ours)
    assert message is not None
    assert message.values == {"event": "ready"}
    assert message.pid == os.getpid()
    (fd,) = message.fds
    assert not os.get_inheritable(fd)
    os.write(fd, b"through")
    os.close(fd)
    assert os.read(reader, 99) == b"through"
    os.close(reader)
    ours.close()
    theirs.close()


def test_many_descriptors_fit_one_message() -> None:
    ours, theirs = channel.make_pair()
    channel.send(theirs, {}, [0] * 64)
    message = channel.receive(ours)
    assert message is not None
    assert len(message.fds) == 64
    for fd in message.fds:
        os.close(fd)
    ours.close()
    theirs.close()


def test_messages_keep_their_boundaries_and_the_end_is_none() -> None:
    ours, theirs = channel.make_pair()
    channel.send(ours, {"id": 1})
    channel.send(ours, {"id": 2})
    ours.close()
    first, second, end = (channel.receive(theirs) for _ in range(3))
    assert first is not None
    assert second is not None
    assert (first.values["id"], second.values["id"], end) == (1, 2, None)
    with pytest.raises(BrokenPipeError):
        channel.send(theirs, {})
    theirs.close()


def test_an_oversized_message_is_our_own_bug() -> None:
    ours, theirs = channel.make_pair()
    with pytest.raises(ValueError, match="bytes"):
        channel.send(ours, {"text": "x" * channel.MAX_MESSAGE_BYTES})
    ours.close()
    theirs.close()


def test_large_and_strange_texts_go_through_a_memory_file() -> None:
    values = {"env": {"BIG": "x" * 1_000_000, "BYTES": os.fsdecode(b"\xff\xfe")}}
    assert channel.from_memory(channel.to_memory(values)) == values
