"""A CoAP server by aiocoap, with one resource: ``x``."""

from __future__ import annotations

import asyncio
import sys

from aiocoap import Context, Message, resource


class Temperature(resource.Resource):
    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"20.5")


async def main() -> None:
    site = resource.Site()
    site.add_resource(["x"], Temperature())
    await Context.create_server_context(site, bind=("127.0.0.1", int(sys.argv[1])))
    print("ready", flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
