"""A name server's answers, sans I/O: it knows the names that the scenario gives, and denies all others.

dnspython reads and writes the messages (RFC 1035), EDNS among them (RFC 6891).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TTL_S = 1
"""A name may lead elsewhere in the next run."""
MOST_UNKNOWN = 20


class NameServer:
    """Answers queries for the addresses of `names`. ``unknown`` are the first names that it did not know,
    as texts, in the order in which they were asked for."""

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        # Here, since few scenarios need it, and loading it takes 50 ms.
        import dns.exception
        import dns.flags
        import dns.message
        import dns.opcode
        import dns.rcode
        import dns.rdataclass
        import dns.rdatatype
        import dns.rrset

        self._dns = dns
        self._names = {name.lower().rstrip("."): tuple(found) for name, found in names.items()}
        self.unknown: dict[str, None] = {}

    def answer(self, query: bytes) -> bytes | None:
        """The message that answers `query`; None where that is none that could be answered."""
        dns = self._dns
        try:
            asked = dns.message.from_wire(query, ignore_trailing=True)
        except (dns.exception.DNSException, ValueError):
            return None
        if asked.flags & dns.flags.QR:
            return None
        response = dns.message.make_response(asked, recursion_available=True)
        response.flags |= dns.flags.AA
        if asked.opcode() != dns.opcode.QUERY or len(asked.question) != 1:
            response.set_rcode(dns.rcode.NOTIMP)
            return bytes(response.to_wire())
        question = asked.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        addresses = self._names.get(name)
        if addresses is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
            if len(self.unknown) < MOST_UNKNOWN:
                self.unknown.setdefault(name)
            return bytes(response.to_wire())
        if question.rdclass in (dns.rdataclass.IN, dns.rdataclass.ANY):
            for kind, version in (("A", 4), ("AAAA", 6)):
                texts = [
                    text for text in addresses if ipaddress.ip_address(text).version == version
                ]
                wanted = question.rdtype in (dns.rdatatype.from_text(kind), dns.rdatatype.ANY)
                if wanted and texts:
                    found = dns.rrset.from_text(question.name, TTL_S, "IN", kind, *texts)
                    response.answer.append(found)
        return bytes(response.to_wire())
