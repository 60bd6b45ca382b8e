"""Services of a run at free ports of the loopback interface, without a testbed around them."""

from __future__ import annotations

import socket
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.northbound.spec import NorthboundSpec
from iotsim.run.northbound.files import NorthboundFiles
from iotsim.run.northbound.northbound import Northbound
from iotsim.run.northbound.service import Surroundings
from iotsim.testbed.sockets import make_socket

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


class LocalTestbed:
    """A testbed whose network is this process's own."""

    async def open_socket(self, kind: Any, address: str = "127.0.0.1", port: int = 0) -> Any:
        return make_socket(kind, address, port)


@dataclass
class Bench:
    """Services that serve, and what they report. `port` is that of the only one."""

    port: int = 0
    seen: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)
    northbound: Northbound = field(init=False)
    _news: trio.Event = field(default_factory=trio.Event)

    def report(self, _spec: NorthboundSpec, fields: dict[str, Any]) -> None:
        self.seen.append(fields)
        self._news.set()
        self._news = trio.Event()

    async def wait_for(self, count: int) -> list[dict[str, Any]]:
        """What was reported, once it is `count` things."""
        with trio.fail_after(20):
            while len(self.seen) < count:
                await self._news.wait()
        return self.seen

    async def wait_for_count(self, name: str, count: int) -> None:
        """Wait until so much was counted under this name."""
        with trio.fail_after(20):
            while self.counters[name] < count:  # noqa: ASYNC110 - nobody tells
                await trio.sleep(0.001)

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


@asynccontextmanager
async def _serving(
    folder: Path, context: ssl.SSLContext | None = None, **spec: Any
) -> AsyncIterator[Bench]:
    bench = Bench(free_port())
    service = NorthboundSpec("cloud", addresses=("127.0.0.1",), port=bench.port, **spec)
    contexts = {} if context is None else {"cloud": context}
    start = trio.current_time()
    surroundings = Surroundings(
        LocalTestbed(),  # type: ignore[arg-type]
        NorthboundFiles(folder, contexts, {}),
        1,
        lambda: trio.current_time() - start,
        lambda: 1_800_000_000.0,
        bench.report,
        bench.failures.append,
        counters=bench.counters,
    )
    bench.northbound = Northbound([service], {}, surroundings)
    async with bench.northbound.opened():
        yield bench


@pytest.fixture
def serving(tmp_path: Path) -> Callable[..., Any]:
    """A service with the fields of a `NorthboundSpec`, as a context manager that gives its `Bench`."""

    def serve(context: ssl.SSLContext | None = None, **spec: Any) -> Any:
        return _serving(tmp_path, context, **spec)

    return serve
