import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from iotsim import ProtocolError
from iotsim.protocol import registry
from iotsim.protocol.device import StandIn
from iotsim.protocol.registry import bundled_folder, list_protocols, load_file, load_protocol

GOOD = """
from construct import Int8ub, Struct
from iotsim import Protocol
PROTOCOL = Protocol(name="{name}", message=Struct("a" / Int8ub), port={port})
VECTORS = [("07", {{"a": 7}})]
"""


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(text)
    return path


def good(name: str = "mine", port: int = 1) -> str:
    return GOOD.format(name=name, port=port)


def test_search_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scenario = tmp_path / "scenarios"
    scenario.mkdir()
    write(tmp_path / "protocols", "sensornet", good("sensornet", 1))
    assert load_protocol("sensornet", [scenario]).protocol.port == 1
    write(scenario, "sensornet", good("sensornet", 2))
    assert load_protocol("sensornet", [scenario]).protocol.port == 2
    write(scenario / "protocols", "sensornet", good("sensornet", 3))
    assert load_protocol("sensornet", [scenario]).protocol.port == 3
    assert load_protocol("sensornet").protocol.port == 1


@pytest.mark.needs("root")  # to give files to another user
@pytest.mark.parametrize("planted", ["protocols", "sensornet.py", "sensornet"])
def test_what_another_user_has_put_into_a_folder_of_everybodys_is_not_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: str
) -> None:
    shared = tmp_path / "shared"
    text = f"import os\nos.mkdir({str(tmp_path / 'executed')!r})\n" + good("sensornet", 1)
    if planted == "protocols":
        write(shared / "protocols", "sensornet", text)
    elif planted == "sensornet":
        write(shared / "sensornet", "__init__", text)
    else:
        write(shared, "sensornet", text)
    os.chown(shared / planted, 65534, 65534)
    monkeypatch.chdir(shared)
    monkeypatch.delenv("SUDO_UID", raising=False)
    shared.chmod(0o1777)
    loaded = load_protocol("sensornet", [shared])
    assert loaded.path == (bundled_folder() / "sensornet.py").resolve()
    assert not (tmp_path / "executed").exists()
    shared.chmod(0o755)
    assert load_protocol("sensornet", [shared]).protocol.port == 1


def test_bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load_protocol("sensornet")
    assert loaded.path == (bundled_folder() / "sensornet.py").resolve()
    assert loaded.protocol.name == "sensornet"
    assert loaded is load_protocol("sensornet")


def test_a_bundled_one_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("iotsim.protocols.semtech")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers", None)
    monkeypatch.setattr(registry, "_loaded", {})
    with pytest.raises(ProtocolError, match=r"needs the package cryptography: pip install"):
        load_protocol("semtech")


def test_vectors(tmp_path: Path) -> None:
    (vector,) = load_file(write(tmp_path, "mine", good())).vectors
    assert (vector.data, vector.fields) == (b"\x07", {"a": 7})


def test_a_vector_may_say_more(tmp_path: Path) -> None:
    text = (
        good()
        + """
VECTORS = [
    ("07", {"a": 7}, {"decodes_only": True, "answer": True}),
    ("08", {"a": 8}, {"device": {"state": {"key": b"k"}, "index": 3}}),
]
"""
    )
    one, other = load_file(write(tmp_path, "mine", text)).vectors
    assert (one.decodes_only, one.answer, one.device) == (True, True, StandIn())
    assert (other.decodes_only, other.answer) == (False, False)
    assert other.device == StandIn(index=3, state={"key": b"k"})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("7", r"third element of VECTORS\[0\] is no table"),
        ("{'decode_only': True}", "unexpected keyword argument 'decode_only'"),
        ("{'device': 7}", "no table of answer, decodes_only and device"),
        ("{'device': {'key': 7}}", "unexpected keyword argument 'key'"),
        ("{}, {}", "too many values"),
    ],
)
def test_what_a_vector_cannot_say(tmp_path: Path, more: str, message: str) -> None:
    text = good() + f"VECTORS = [('07', {{'a': 7}}, {more})]"
    with pytest.raises(ProtocolError, match=message):
        load_file(write(tmp_path, "mine", text))


def test_nothing_else_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "mine", "raise SystemExit('a behavior, not a protocol')")
    write(tmp_path, "broken", "this is no Python")
    with pytest.raises(ProtocolError, match="there is no protocol 'mine'"):
        load_protocol("mine", [tmp_path])
    with pytest.raises(ProtocolError, match="there is no protocol 'broken'"):
        load_protocol("broken", [tmp_path])
    assert not list(tmp_path.rglob("*.pyc"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", r"mine\.py: has no PROTOCOL"),
        ("PROTOCOL = 7", "no iotsim.Protocol"),
        ("\n\n1/0", r"mine\.py:3: ZeroDivisionError: division by zero"),
        ("\ndef f(:\n", r"mine\.py:2: SyntaxError"),
        ("raise SystemExit(3)", r"mine\.py:1: SystemExit: 3"),
        ("import nonesuch", "ModuleNotFoundError"),
        (good("other"), "declares the protocol 'other'"),
        (good() + "VECTORS = 7", "VECTORS is no list"),
        (good() + "VECTORS = [('zz', {})]", r"VECTORS\[0\] is no pair"),
        (good(port=0), r"mine\.py:4: mine: port"),
    ],
)
def test_a_wrong_file_says_where_and_why(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path / "protocols", "mine", text)
    with pytest.raises(ProtocolError, match=message):
        load_protocol("mine", [tmp_path])


@pytest.mark.parametrize("name", ["../mine", "a/b", "", "A b", "mine.py"])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(ProtocolError, match="no name of a protocol"):
        load_protocol(name)


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(ProtocolError, match="did you mean 'sensornet'"):
        load_protocol("sensornett")


def test_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "protocols", "mine", good())
    write(tmp_path / "protocols", "helper", "x = 1")
    write(tmp_path, "behavior", "1/0")
    os.mkfifo(tmp_path / "protocols" / "pipe.py")  # declares nothing, and is not waited for
    names = dict(list_protocols([tmp_path]))
    assert names["mine"] == tmp_path / "protocols" / "mine.py"
    assert "sensornet" in names
    assert not {"helper", "behavior"} & names.keys()


def test_entry_points(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = load_file(write(tmp_path, "mine", good()))
    found = SimpleNamespace(PROTOCOL=module.protocol, VECTORS=[("01", {"a": 1})])
    entry = SimpleNamespace(name="mine", value="x:y", load=lambda: found)

    def broken() -> None:
        raise ImportError("gone")

    entries = [entry, SimpleNamespace(name="gone", value="z", load=broken)]
    monkeypatch.setattr(registry, "_entry_points", lambda: entries)
    loaded = load_protocol("mine")
    assert (loaded.path, loaded.vectors[0].fields) == (None, {"a": 1})
    assert ("mine", None) in list_protocols()
    with pytest.raises(ProtocolError, match="gone"):
        load_protocol("gone")


def test_a_file_is_executed_again_once_it_is_changed(tmp_path: Path) -> None:
    path = write(tmp_path, "mine", good())
    first = load_file(path)
    modules = len(sys.modules)
    assert load_file(path) is first
    assert registry.users_file(first.protocol) == path.resolve()
    write(tmp_path, "mine", good(port=7777))
    assert load_file(path).protocol.port == 7777
    assert registry.users_file(first.protocol) is None
    assert len(sys.modules) == modules


def test_only_so_many_files_are_remembered(tmp_path: Path) -> None:
    bundled = load_protocol("lifx")
    module = sys.modules["iotsim.protocols.lifx.bulb"]
    for number in range(registry.MOST_REMEMBERED + 20):
        load_file(write(tmp_path, f"mine{number}", good(f"mine{number}")))
        with pytest.raises(ProtocolError):
            load_file(write(tmp_path, f"wrong{number}", good()))
    left = [name for name in sys.modules if name.startswith("iotsim_user") and "mine" in name]
    assert len(left) == registry.MOST_REMEMBERED
    assert not [name for name in sys.modules if name.startswith("iotsim_user") and "wrong" in name]
    assert load_protocol("lifx") is bundled
    assert sys.modules["iotsim.protocols.lifx.bulb"] is module


def test_what_comes_with_iotsim_is_no_file_of_the_users() -> None:
    assert registry.users_file(load_protocol("sensornet").protocol) is None


PACKAGE = """
from .schema import PROTOCOL as PROTOCOL_OF_SCHEMA
PROTOCOL = PROTOCOL_OF_SCHEMA
VECTORS = [("07", {"a": 7})]
"""


def write_package(folder: Path, port: int = 1) -> Path:
    write(folder / "mine", "schema", good(port=port))
    return write(folder / "mine", "__init__", PACKAGE)


def test_a_package_stands_in_the_place_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_package(tmp_path / "protocols")
    loaded = load_protocol("mine")
    assert loaded.path == path.resolve()
    assert ("mine", Path("protocols/mine/__init__.py")) in list_protocols()
    assert registry.users_file(loaded.protocol) == path.resolve()
    assert not list(tmp_path.rglob("*.pyc"))


def test_a_package_is_executed_again_once_one_of_its_modules_is_changed(tmp_path: Path) -> None:
    path = write_package(tmp_path)
    before = set(sys.modules)
    first = load_file(path)
    assert load_file(path) is first
    write_package(tmp_path, port=2)
    assert load_file(path).protocol.port == 2
    assert len([name for name in sys.modules if "_mine" in name and name not in before]) == 2


def test_a_package_has_the_name_of_its_protocol(tmp_path: Path) -> None:
    path = write_package(tmp_path)
    (tmp_path / "mine" / "schema.py").write_text(good("other"))
    with pytest.raises(ProtocolError, match="declares the protocol 'other'"):
        load_file(path)
