from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from iotsim.testbed import linux
from iotsim.testbed.users import (
    User,
    find_user,
    give_to_caller,
    make_folder,
    may_become,
    sudo_user,
)

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN_UID = 54321


def test_users_are_found_by_name_and_by_number() -> None:
    entry = pwd.getpwuid(os.getuid())
    user = find_user(entry.pw_name)
    assert (user.uid, user.gid, user.home) == (entry.pw_uid, entry.pw_gid, entry.pw_dir)
    assert user.gid in user.groups
    assert find_user(str(entry.pw_uid)) == user
    assert user.environment == {
        "HOME": entry.pw_dir,
        "USER": entry.pw_name,
        "LOGNAME": entry.pw_name,
    }


def test_a_number_needs_no_entry() -> None:
    expected = User(UNKNOWN_UID, UNKNOWN_UID, (UNKNOWN_UID,), str(UNKNOWN_UID), "/")
    assert find_user(str(UNKNOWN_UID)) == expected


@pytest.mark.parametrize("text", ["no.such.user", "-1", "4294967296", "١"])
def test_what_is_no_user(text: str) -> None:
    with pytest.raises(LookupError, match="there is no user called"):
        find_user(text)


@pytest.mark.needs("root")
@pytest.mark.parametrize(
    ("uid", "gid", "expected"),
    [
        (str(UNKNOWN_UID), "54322", (UNKNOWN_UID, 54322)),
        ("0", "0", None),  # root itself
        ("", "", None),
        ("alice", "54322", None),
    ],
)
def test_who_called_sudo(
    monkeypatch: pytest.MonkeyPatch, uid: str, gid: str, expected: tuple[int, int] | None
) -> None:
    monkeypatch.setenv("SUDO_UID", uid)
    monkeypatch.setenv("SUDO_GID", gid)
    user = sudo_user()
    assert (None if user is None else (user.uid, user.gid)) == expected


@pytest.mark.needs("root")
def test_what_was_made_is_given_to_who_called_sudo(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SUDO_UID", str(UNKNOWN_UID))
    monkeypatch.setenv("SUDO_GID", str(UNKNOWN_UID))
    (tmp_path / "there").mkdir()
    folder = tmp_path / "there" / "a" / "b"
    make_folder(folder)
    make_folder(folder)
    (folder / "link").symlink_to(tmp_path)
    give_to_caller(folder / "link")
    owned = [folder / "link", folder, folder.parent, folder.parent.parent, tmp_path]
    assert [path.lstat().st_uid for path in owned] == [*[UNKNOWN_UID] * 3, 0, 0]


def test_without_sudo_what_was_made_stays_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_uid == os.getuid()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "file" / "below")


def test_who_has_no_capability_becomes_nobody_else() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linux, "get_capabilities", lambda: (0, 0, 0))
        assert not may_become(find_user(str(UNKNOWN_UID)))
