"""Placeholders: ``${...}`` in the strings of a scenario.

============================  ===============================================  ==============
placeholder                   stands for                                       filled in
============================  ===============================================  ==============
``${NAME}``                   a parameter (`iotsim.scenario.parameters`)       at first
``${env.NAME}``               a variable of the environment                    at first
``${devices.NAME.first}``     also last, range, addresses, count, port         when addresses
                              of a fleet                                       are known
``${link.address}``           the gateway's address                            likewise
``${northbound.NAME.url}``    also address, port, and with TLS ca: the         likewise
                              file of its authority, only in commands and env
``${results}``                the results folder; only in ``[gateway]``        as the run starts
============================  ===============================================  ==============

A string that is nothing but one parameter takes the parameter's type: ``count = "${n}"`` is an
integer for ``--set n=5``. ``$${`` stands for ``${``. `iotsim.scenario.filling` fills in the first two.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from iotsim.scenario.problems import nearest
from iotsim.wire.address import format_address

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from iotsim.device.spec import FleetSpec
    from iotsim.northbound.spec import NorthboundSpec
    from iotsim.scenario.model import LinkSpec
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

Scope: TypeAlias = Literal["parameters", "addresses", "run"]
"""Which placeholders can stand somewhere, each with those before it: parameters; what shows
addresses; what is known when a run starts, which then fills in all but parameters."""

PLACEHOLDER = re.compile(r"(\$?)\$\{([^{}]*)\}")
MOST_ADDRESSES = 8000
"""More than these, comma-separated, fit into no argument of a process (execve(2))."""
MOST_FILLED_IN = 16 << 20
SERVICE_ATTRIBUTES = ("url", "address", "port", "ca")
FLEET_ATTRIBUTES = ("range", "first", "last", "addresses", "count", "port")


def names_in(text: str) -> list[str]:
    """The names of the placeholders in `text`."""
    return [name for escape, name in PLACEHOLDER.findall(text) if not escape]


def expand(text: str, values: Mapping[str, Callable[[], str]]) -> str:
    """`text` with its placeholders filled in; KeyError names one that is unknown."""

    def fill(match: re.Match[str]) -> str:
        return match[0][1:] if match[1] else values[match[2]]()

    return PLACEHOLDER.sub(fill, text)


def placeholder_values(
    link: LinkSpec,
    fleets: Iterable[FleetSpec],
    services: Iterable[NorthboundSpec] = (),
    ca: Path | None = None,
) -> dict[str, Callable[[], str]]:
    """Name -> what gives the text that stands for it. `ca` is where the file of the authority will be."""
    values: dict[str, Callable[[], str]] = {}
    own = link.address4 or link.address6
    if own is not None:
        values["link.address"] = lambda address=own[0]: format_address(address)  # type: ignore[misc]
    for fleet in fleets:
        for name, text in _fleet_values(fleet).items():
            values[f"devices.{fleet.name}.{name}"] = text
    for service in services:
        for name, text in _service_values(service, ca).items():
            values[f"northbound.{service.name}.{name}"] = text
    return values


def _service_values(service: NorthboundSpec, ca: Path | None) -> dict[str, Callable[[], str]]:
    values: dict[str, Callable[[], str]] = {"address": lambda: service.address}
    if service.port:
        values["port"] = lambda: str(service.port)
        if service.url:
            values["url"] = lambda: service.url
    if service.tls:
        values["ca"] = lambda: str(ca)
    return values


def _fleet_values(fleet: FleetSpec) -> dict[str, Callable[[], str]]:
    """The addresses are those of the fleet's first entry."""
    values: dict[str, Callable[[], str]] = {"count": lambda: str(fleet.count)}
    if fleet.services:
        values["port"] = lambda: str(fleet.services[0].port)
    if fleet.blocks:
        first = fleet.blocks[0].first
        last = first + fleet.count - 1
        values["first"] = lambda: format_address(first)
        values["last"] = lambda: format_address(last)
        values["range"] = lambda: f"{format_address(first)}-{format_address(last)}"
        if fleet.count <= MOST_ADDRESSES:
            values["addresses"] = lambda: ",".join(map(format_address, range(first, last + 1)))
    return values


def strings(value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, str]]:
    """All strings inside `value`, each with the keys that lead to it."""
    if isinstance(value, str):
        yield keys, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from strings(inner, (*keys, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from strings(inner, (*keys, number))


def replaced(value: Any, replace: Callable[[Keys, str], Any], keys: Keys = ()) -> Any:
    """A copy of `value` in which each string is what `replace` makes of it."""
    if isinstance(value, str):
        return replace(keys, value)
    if isinstance(value, dict):
        return {key: replaced(inner, replace, (*keys, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [replaced(inner, replace, (*keys, number)) for number, inner in enumerate(value)]
    return value


def is_parameter(name: str) -> bool:
    """Whether a placeholder of this name is a parameter: it has no dot."""
    return "." not in name and name != "results"


def variable_of(name: str) -> str:
    """The variable of the environment that ``${env.NAME}`` names; "" for other placeholders."""
    root, _, variable = name.partition(".")
    return variable if root == "env" else ""


def settle_scopes(
    document: dict[str, Any], scope_at: Callable[[Keys], Scope], problems: Problems
) -> dict[str, Any]:
    """`document`, whose parameters are filled in, with no placeholder left where none but these can stand;
    `scope_at` tells where that is. Those that cannot stand where they do are problems."""

    def settle(keys: Keys, text: str) -> str:
        if "${" not in text:
            return text
        scope = scope_at(keys)
        for name in names_in(text):
            if not is_parameter(name) and not variable_of(name):
                _check(keys, name, scope, problems)
        return text if scope != "parameters" else PLACEHOLDER.sub(_plain, text)

    settled: dict[str, Any] = replaced(document, settle)
    return settled


def _plain(match: re.Match[str]) -> str:
    """What an escape stands for; a placeholder is left."""
    return match[0][1:] if match[1] else match[0]


def _check(keys: Keys, name: str, scope: Scope, problems: Problems) -> None:
    if name == "results":
        if scope != "run":
            problems.add(keys, "'${results}' can only stand in [gateway]")
    elif name.startswith("northbound.") and name.endswith(".ca") and scope != "run":
        problems.add(keys, f"'${{{name[:100]}}}' can only stand in a command or 'env'")
    elif scope == "parameters":
        problems.add(keys, f"'${{{name[:100]}}}' cannot stand here: addresses are not known yet")


def fill_addresses(
    document: dict[str, Any],
    values: Mapping[str, Callable[[], str]],
    doubtful: Collection[str],
    scope_at: Callable[[Keys], Scope],
    problems: Problems,
) -> dict[str, Any]:
    """`document` with its placeholders filled in; those for the start of a run are only checked.

    Of `doubtful` fleets it is not known what there is, nor what stands for doubtful placeholders,
    such as ``NAME.port``: nothing is said about these.
    """

    texts = {name: cache(value) for name, value in values.items()}
    room = MOST_FILLED_IN

    def replace(keys: Keys, text: str) -> str:
        nonlocal room
        if "${" not in text or room < 0 or scope_at(keys) == "parameters":
            return text
        names = names_in(text)
        unknown = [name for name in names if name not in values]
        for name in unknown:
            inner = name.removeprefix("devices.")
            known = inner not in doubtful and inner.rpartition(".")[0] not in doubtful
            # results was looked at together with the parameters
            if name != "results" and known:
                problems.add(keys, *_unknown(name, values))
        room -= sum(len(texts[name]()) for name in names if name in texts)
        if room < 0:
            message = f"placeholders would fill in more than {MOST_FILLED_IN} characters"
            problems.add(keys, message)
            return text
        return text if unknown or scope_at(keys) == "run" else expand(text, texts)

    filled: dict[str, Any] = replaced(document, replace)
    return filled


def _unknown(name: str, values: Mapping[str, Any]) -> tuple[str, str]:
    base, _, attribute = name.rpartition(".")
    if attribute == "addresses" and f"{base}.range" in values:
        return f"'${{{name}}}' is for at most {MOST_ADDRESSES} devices", f"take ${{{base}.range}}"
    if attribute in SERVICE_ATTRIBUTES and f"{base}.address" in values:
        why = {"ca": " without 'tls'", "port": " without 'listen'"}.get(attribute, "")
        return f"'${{{name}}}': the service has none{why}", ""
    if attribute in FLEET_ATTRIBUTES and f"{base}.count" in values:
        return f"'${{{name}}}': the fleet has none", ""
    return f"unknown placeholder '${{{name[:100]}}}'", nearest(name, values)


def typed(text: str) -> Any:
    """The value of ``--set NAME=TEXT``: an integer, number, true or false, else a text."""
    if text in ("true", "false"):
        return text == "true"
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
