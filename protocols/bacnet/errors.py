"""What a confirmed request may be refused with: an Error (clause 18), a Reject or an Abort."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .codes import ABORTS, REJECTS

if TYPE_CHECKING:
    from collections.abc import Mapping

CLASSES = {
    "device": "configuration-in-progress device-busy operational-problem internal-error",
    "object": "no-objects-of-specified-type object-deletion-not-permitted unknown-object "
    "unsupported-object-type",
    "property": "character-set-not-supported datatype-not-supported inconsistent-selection-criterion "
    "invalid-array-index invalid-data-type not-cov-property property-is-not-an-array read-access-denied "
    "unknown-property value-out-of-range write-access-denied",
    "resources": "no-space-for-object no-space-to-write-property out-of-memory",
    "security": "access-denied password-failure",
    "services": "cov-subscription-failed optional-functionality-not-supported parameter-out-of-range "
    "service-request-denied unknown-subscription",
    "communication": "communication-disabled timeout",
}
"""The errors of each class that a device would answer with, as clause 18 has them."""
ERRORS = {
    code.upper().replace("-", "_"): {"error_class": kind, "error_code": code}
    for kind, codes in CLASSES.items()
    for code in codes.split()
}
NAMES = (
    *ERRORS,
    *(f"REJECT_{reason}" for reason in REJECTS),
    *(f"ABORT_{reason}" for reason in ABORTS),
)


def refuse(name: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
    if request.get("apdu") != "CONFIRMED_REQUEST":
        return None
    kind, _, reason = name.partition("_")
    if name not in ERRORS:
        return {"apdu": kind, "reason": reason}
    answer = {"apdu": "ERROR", "service": request["service"]}
    writes = request.get("writes")
    if not writes:
        return {**answer, **ERRORS[name]}
    # That of WritePropertyMultiple says which has failed (clause 15.10.1.3).
    first = {"object": writes[0]["object"]}
    first |= {name: writes[0]["values"][0][name] for name in ("property", "array_index")}
    return {**answer, "error": ERRORS[name], "first_failed": first}
