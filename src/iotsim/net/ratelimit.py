"""`TokenBucket`, the limiter that RFC 4443 section 2.4(f) recommends for ICMP errors."""

from __future__ import annotations


class TokenBucket:
    """Lets `rate` events a second through, and up to `burst` at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = float(burst)
        self._updated = float("-inf")

    def take(self, now: float) -> bool:
        """Whether an event at `now` may pass."""
        elapsed = now - self._updated
        if elapsed > 0:
            self._tokens = min(self.burst, self._tokens + elapsed * self.rate)
            self._updated = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
