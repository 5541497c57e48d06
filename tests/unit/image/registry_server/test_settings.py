"""Every wrong key of `image.serve` is an error that names it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import bcrypt
import pytest

from scow.contract.errors import InvalidConfig
from scow.core.config import ServeSection, load
from scow.image.registry_server.auth.authorization import Authorization
from scow.image.registry_server.auth.users import Users
from scow.image.registry_server.http import listeners
from scow.image.registry_server.names import Naming
from tests.support.serving import write_htpasswd
from tests.support.tls import Authority

HERE = "192.0.2.1"


def check(**keys: object) -> None:
    """Do what the start does with the section."""
    section = replace(ServeSection(), **keys)  # type: ignore[arg-type]
    addresses = [listeners.parse_address(text) for text in section.address]
    listeners.check_plain(section, addresses)
    listeners.make_certificate(section)
    Authorization(section, Naming(section.name))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"address": ("nonsense",)}, "image.serve.address has 'nonsense'"),
        ({"address": ("::1:80",)}, "image.serve.address has '::1:80'"),
        ({"address": ("127.0.0.1:70000",)}, "image.serve.address has '127.0.0.1:70000'"),
        ({"address": ("0.0.0.0:5000",)}, "0.0.0.0:5000 would be served by plain HTTP"),
        ({"address": ("127.0.0.1:1", "[::]:1")}, r"\[::\]:1 would be served by plain HTTP"),
        ({"address": (":5000",)}, "0.0.0.0:5000 would be served by plain HTTP"),
        ({"name": "nohost"}, "image.serve.name is 'nohost'"),
        ({"name": "a b"}, "image.serve.name is 'a b'"),
        ({"authentication": "magic"}, "image.serve.authentication is 'magic'"),
        ({"authentication": "basic"}, "image.serve.htpasswd is missing"),
        ({"authentication": "token"}, "image.serve.htpasswd is missing"),
        (
            {"authentication": "basic", "htpasswd": Path("/nowhere")},
            "/nowhere cannot be read",
        ),
        ({"access": ("all",)}, "image.serve.access has 'all'"),
        ({"access": ("me * everything",)}, "image.serve.access has 'me "),
        ({"certificate": Path("/nowhere"), "key": Path("/nowhere")}, "certificate /nowhere"),
        ({"certificate": Path("/nowhere")}, "image.serve.key is missing"),
        ({"key": Path("/nowhere")}, "image.serve.certificate is missing"),
    ],
    ids=str,
)
def test_wrong(keys: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidConfig, match=told) as caught:
        check(**keys)
    assert caught.value.which.startswith("image.serve.")
    assert caught.value.metadata["do"]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:5000", "127.0.0.1", 5000),
        ("[::1]:5000", "::1", 5000),
        ("localhost:1", "localhost", 1),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert listeners.parse_address(text) == listeners.Address(host, port)
    assert str(listeners.parse_address(text)) == text
    check(address=(text,))


def test_environment() -> None:
    """The section's keys are variables too."""
    section = load(environ={
        "SCOW_IMAGE_SERVE_ADDRESS": "127.0.0.1:1,[::1]:1",
        "SCOW_IMAGE_SERVE_KEEP_SECONDS": "5",
        "SCOW_IMAGE_RETRIES": "7",
    }).image  # fmt: skip
    assert section.serve.address == ("127.0.0.1:1", "[::1]:1")
    assert section.serve.keep_seconds == 5
    assert section.retries == 7


def test_a_certificate_is_read_again(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    first, second = authority.issue("first"), authority.issue("second")
    certificate = listeners.Certificate(first.certificate_file, first.key_file)
    first.certificate_file.write_bytes(second.certificate_file.read_bytes())
    with pytest.raises(InvalidConfig):  # of another key
        certificate.refresh()
    first.key_file.write_bytes(second.key_file.read_bytes())
    certificate.refresh()


async def test_users(tmp_path: Path) -> None:
    path = tmp_path / "users"
    users = Users(Path(write_htpasswd(path, me="word", long="x" * 100)))
    assert await users.check("me", "word", HERE)
    assert await users.check("me", "word", HERE)
    assert not await users.check("me", "other", HERE)
    assert not await users.check("nobody", "word", HERE)
    assert not await users.check("", "", HERE)
    assert await users.check("long", "x" * 100, HERE)
    write_htpasswd(path, me="changed")
    users.refresh()
    assert not await users.check("me", "word", HERE)
    assert await users.check("me", "changed", HERE)
    path.write_text("me:plaintext\n")
    with pytest.raises(InvalidConfig, match="no bcrypt hash in line 1"):
        users.refresh()
    assert await users.check("me", "changed", HERE)


async def test_a_name_that_nobody_has_takes_as_much_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is given to bcrypt has the cost of the users' own hashes, whoever asks."""
    path = tmp_path / "users"
    users = Users(Path(write_htpasswd(path, me="word")))
    costs = []
    checkpw = bcrypt.checkpw

    def noted(secret: bytes, hashed: bytes) -> bool:
        costs.append(hashed[4:6])
        return checkpw(secret, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", noted)
    for name in ("me", "nobody", "else", "me"):
        assert not await users.check(name, "wrong", HERE)
    assert costs == [b"04"] * 4
    path.write_text("".join(f"u{cost}:$2b${cost:02d}${'.' * 53}\n" for cost in (4, 5, 6)))
    users.refresh()
    costs.clear()
    for name in ("a", "b", "c", "d", "a", "b", "c", "d"):
        await users.check(name, "wrong", f"10.0.0.{len(costs)}")
    assert costs[:4] == costs[4:]
    assert set(costs) <= {b"04", b"05", b"06"}
