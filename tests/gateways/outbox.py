"""The north side of the gateways here: readings on their way to a cloud, by HTTP."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import argparse

OWN_NUMBERS = 0x8000  # what a device sends by itself is numbered from here on


class Outbox:
    """Readings on their way to the cloud, oldest first, from a file; a thread of its own sends them."""

    TIMEOUT = 1.0
    PAUSE, LONGEST_PAUSE = 0.1, 0.4

    def __init__(self, options: argparse.Namespace) -> None:
        self.url = urlsplit(options.cloud)
        self.folder = Path(options.state)
        self.path = self.folder / "outbox.jsonl"
        self.changed = threading.Condition()
        self.waiting: deque[dict[str, Any]] = deque()
        self.heard: dict[int, list[int]] = {}  # of each device, its own numbers since it booted
        self.starts = self.count_start()
        self.count = 0
        self.load()
        self.file = self.path.open("a")
        self.connection: http.client.HTTPConnection | None = None
        if options.cloud:
            threading.Thread(target=self.run, daemon=True).start()

    def count_start(self) -> int:
        path = self.folder / "starts"
        starts = int(path.read_text()) + 1 if path.exists() else 1
        path.write_text(str(starts))
        return starts

    def load(self) -> None:
        """What was not confirmed in earlier lives. The last line may be half a line."""
        waiting: dict[str, dict[str, Any]] = {}
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if "done" in entry:
                waiting.pop(entry["done"], None)
            elif "booted" in entry:
                self.heard.pop(entry["booted"], None)
            else:
                waiting[entry["id"]] = entry
                if entry.get("seq", 0) >= OWN_NUMBERS:
                    self.heard.setdefault(entry["device"], []).append(entry["seq"])
        self.waiting.extend(waiting.values())

    def write(self, entry: dict[str, Any]) -> None:
        with self.changed:
            self.file.write(json.dumps(entry) + "\n")
            self.file.flush()

    def put(self, reading: dict[str, Any]) -> None:
        if not self.url.netloc:
            return
        with self.changed:
            self.count += 1
            reading = {"id": f"{self.starts}.{self.count}", **reading}
            self.write(reading)
            self.waiting.append(reading)
            self.changed.notify()

    def run(self) -> None:
        failures = 0
        while True:
            with self.changed:
                while not self.waiting:
                    self.changed.wait()
                reading = self.waiting[0]
            status, wait = self.attempt(reading)
            if status and (status < 400 or self.is_hopeless(status)):
                failures = 0
                self.done(reading)
            else:
                failures += 1
                self.failed(reading)
                time.sleep(self.pause(failures, wait))

    def is_hopeless(self, status: int) -> bool:
        """Whether the cloud will never take it: then others must not wait behind it."""
        return 400 <= status < 500 and status not in (408, 429)

    def pause(self, failures: int, asked_for: float) -> float:
        """How long to leave the cloud alone after as many failures."""
        return float(asked_for or min(self.PAUSE * 2 ** (failures - 1), self.LONGEST_PAUSE))

    def done(self, reading: dict[str, Any]) -> None:
        with self.changed:
            self.waiting.popleft()
            self.write({"done": reading["id"]})

    def failed(self, reading: dict[str, Any]) -> None:
        """It stays where it is."""

    def attempt(self, reading: dict[str, Any]) -> tuple[int, float]:
        """POST it; the status, 0 if there was no answer, and how long the cloud asks to be left alone."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": self.key_of(reading)}
        try:
            connection = self.connect()
            connection.request("POST", self.url.path or "/", json.dumps(reading), headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status, float(answer.headers.get("Retry-After", "0"))
        except (OSError, http.client.HTTPException, ValueError) as error:
            say(f"the cloud: {type(error).__name__}")
            self.disconnect()
            return 0, 0.0

    def key_of(self, reading: dict[str, Any]) -> str:
        return str(reading["id"])

    def connect(self) -> http.client.HTTPConnection:
        if self.connection is None:
            host, port = self.url.hostname or "", self.url.port
            self.connection = http.client.HTTPConnection(host, port, timeout=self.TIMEOUT)
        return self.connection

    def disconnect(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def say(text: str) -> None:
    print(text, flush=True)
