"""What a thermometer does that rules do not say: it reports by itself once it was told to start."""

from iotsim import Device, on


class Thermometer(Device):
    @on(kind="START")
    def start(self, request):
        self.state["started"] = True
        return {"kind": "VALUE", "celsius": self.signal("celsius")}

    async def run(self):
        async for _ in self.every("500ms"):
            if self.state.get("started"):
                celsius = self.signal("celsius")
                report = {"kind": "VALUE", "number": 0, "unasked": True, "celsius": celsius}
                await self.send(report, to=self.gateway)
