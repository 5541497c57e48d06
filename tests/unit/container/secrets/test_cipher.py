"""The encryption of secrets at rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from scow.container.secrets.cipher import Cipher
from scow.contract.errors import DataLoss


def test_what_was_encrypted_comes_back_under_its_own_id_alone(tmp_path: Path) -> None:
    cipher = Cipher(tmp_path / "key")
    sealed = cipher.encrypt("a", b"secret text")
    assert b"secret text" not in sealed
    assert sealed != cipher.encrypt("a", b"secret text")
    assert Cipher(tmp_path / "key").decrypt("a", sealed) == b"secret text"
    with pytest.raises(DataLoss):
        cipher.decrypt("b", sealed)


@pytest.mark.parametrize("damage", ["key", "no key", "bytes", "short"])
def test_damage_is_told(tmp_path: Path, damage: str) -> None:
    cipher = Cipher(tmp_path / "key")
    sealed = cipher.encrypt("a", b"text")
    if damage == "key":
        (tmp_path / "key").write_bytes(bytes(32))
    elif damage == "no key":
        (tmp_path / "key").unlink()
    elif damage == "bytes":
        sealed = sealed[:-1] + bytes((sealed[-1] ^ 1,))
    else:
        sealed = b""
    with pytest.raises(DataLoss, match="cannot be decrypted"):
        cipher.decrypt("a", sealed)


def test_the_key_is_roots_alone_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    Cipher(tmp_path / "key").encrypt("a", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_mark_tells_data_from_other_data(tmp_path: Path) -> None:
    cipher = Cipher(tmp_path / "key")
    assert cipher.mark(b"a") == cipher.mark(b"a") != cipher.mark(b"b")
    assert cipher.mark(b"a") != Cipher(tmp_path / "other").mark(b"a")
