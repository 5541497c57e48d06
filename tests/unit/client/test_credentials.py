"""Credentials in a file as Docker's, and in helper programs that speak Docker's protocol."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from scow.client.credentials import Credentials, CredentialStore, registry_of, server_name
from scow.contract.errors import CredentialHelperFailed, InvalidConfig

ME = Credentials("me", "pass:word")
PAIR = base64.b64encode(b"me:pass:word").decode()
# A helper that keeps each server's entry as a file, in $KEPT.
HELPER = """#!/usr/bin/env python3
import json, os, sys, urllib.parse
verb, text = sys.argv[1], sys.stdin.read()
place = lambda server: os.path.join(os.environ["KEPT"], urllib.parse.quote(server, safe=""))
if verb == "store":
    entry = json.loads(text)
    open(place(entry["ServerURL"]), "w").write(text)
elif verb == "list":
    names = [json.load(open(os.path.join(os.environ["KEPT"], n))) for n in os.listdir(os.environ["KEPT"])]
    print(json.dumps({entry["ServerURL"]: entry["Username"] for entry in names}))
elif not os.path.exists(place(text.strip())):
    print("credentials not found in native keychain")
    sys.exit(1)
elif verb == "get":
    print(open(place(text.strip())).read())
else:
    os.unlink(place(text.strip()))
"""


class Home:
    """A user's folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept = folder / "kept"
        self.kept.mkdir()
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        self._helper("test", HELPER, bin_folder)
        self._helper("broken", "#!/bin/sh\necho out of order >&2\nexit 3\n", bin_folder)
        self._helper("garbage", "#!/bin/sh\necho garbage\n", bin_folder)
        self.store = CredentialStore(
            environ={
                "HOME": str(folder),
                "PATH": f"{bin_folder}:{os.environ['PATH']}",
                "KEPT": str(self.kept),
            }
        )

    @staticmethod
    def _helper(name: str, text: str, folder: Path) -> None:
        program = folder / f"docker-credential-{name}"
        program.write_text(text)
        program.chmod(0o755)

    def write(self, value: object, name: str = ".scow") -> None:
        file = self.folder / name / "config.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(value if isinstance(value, str) else json.dumps(value))

    def read(self) -> Any:
        return json.loads((self.folder / ".scow/config.json").read_text())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_file_as_docker_writes_it(home: Home) -> None:
    assert home.store.get("r.example") is None
    plain = home.store.put("r.example", ME)
    assert plain == str(home.folder / ".scow/config.json")
    assert home.read() == {"auths": {"r.example": {"auth": PAIR}}}
    assert stat.S_IMODE(os.stat(plain).st_mode) == 0o600
    assert home.store.get("https://r.example/v2/") == ME
    assert home.store.users() == {"r.example": "me"}
    assert home.store.erase("r.example")
    assert not home.store.erase("r.example")
    assert home.store.get("r.example") is None
    assert [path.name for path in Path(plain).parent.iterdir()] == ["config.json"]


def test_docker_hub_has_its_old_name(home: Home) -> None:
    home.store.put("", ME)
    assert home.read() == {"auths": {"https://index.docker.io/v1/": {"auth": PAIR}}}
    for name in ("docker.io", "index.docker.io", "https://index.docker.io/v1/"):
        assert home.store.get(name) == ME
    auth = home.store.auth("nginx")
    assert auth is not None
    assert (auth.username, auth.password) == ("me", "pass:word")


def test_tokens(home: Home) -> None:
    home.store.put("r.example", Credentials("me", "", "identity"))
    assert home.read() == {"auths": {"r.example": {"identitytoken": "identity"}}}
    auth = home.store.auth("r.example/x")
    assert auth is not None
    assert (auth.token, auth.username) == ("identity", "")
    assert "identity" not in repr(Credentials("me", "secret", "identity"))


def test_other_keys_stay(home: Home) -> None:
    home.write({"detachKeys": "ctrl-q", "auths": {"https://r.example/v1/": {"auth": "eDp5"}}})
    home.store.put("r.example", ME)
    assert home.read() == {"detachKeys": "ctrl-q", "auths": {"r.example": {"auth": PAIR}}}


def test_docker_s_own_file_is_read(home: Home) -> None:
    home.write({"auths": {"r.example": {"auth": PAIR}, "s.example": {}}}, ".docker")
    assert home.store.get("r.example") == ME
    assert home.store.get("s.example") is None
    home.store.put("r.example", Credentials("other", "word"))
    assert home.store.get("r.example") == Credentials("other", "word")
    assert "other" not in (home.folder / ".docker/config.json").read_text()


def test_the_folder_is_the_environments(tmp_path: Path) -> None:
    store = CredentialStore(environ={"HOME": "/x", "SCOW_CLIENT_DIR": str(tmp_path / "own")})
    store.put("r.example", ME)
    assert (tmp_path / "own/config.json").exists()


@pytest.mark.parametrize(
    "keys", [{"credsStore": "test"}, {"credHelpers": {"r.example": "test"}, "credsStore": "none"}]
)
def test_helpers(home: Home, keys: dict[str, object]) -> None:
    home.write({**keys, "auths": {"r.example": {"auth": "eDp5"}}})
    assert home.store.put("r.example", ME) == ""
    assert home.read() == {**keys, "auths": {"r.example": {}}}
    entry = json.loads((home.kept / "r.example").read_text())
    assert entry == {"ServerURL": "r.example", "Username": "me", "Secret": "pass:word"}
    assert home.store.get("r.example") == ME
    home.store.put("r.example", Credentials("me", "", "identity"))
    assert home.store.get("r.example") == Credentials(token="identity")
    assert home.store.erase("r.example")
    assert not list(home.kept.iterdir())
    assert home.store.get("r.example") is None


def test_a_helper_knows_docker_hub_by_its_old_name(home: Home) -> None:
    home.write({"credsStore": "test"})
    home.store.put("docker.io", ME)
    assert home.store.users() == {"docker.io": "me"}
    assert home.store.get("") == ME


@pytest.mark.parametrize("helper", ["broken", "garbage", "missing", "../evil", "a b"])
def test_helpers_that_fail(home: Home, helper: str) -> None:
    home.write({"credsStore": helper, "auths": {"r.example": {"auth": PAIR}}})
    with pytest.raises(CredentialHelperFailed, match="docker-credential-"):
        home.store.get("r.example")
    if helper not in ("garbage",):
        with pytest.raises(CredentialHelperFailed):
            home.store.put("r.example", Credentials("new", "word"))
        assert home.read()["auths"] == {"r.example": {"auth": PAIR}}


@pytest.mark.parametrize(
    "text", ["{", "[]", "\xff", '{"auths": {"r.example": {"auth": "%%"}}}', "[" * 100_000]
)
def test_broken_files_are_named(home: Home, text: str) -> None:
    home.write(text)
    with pytest.raises(InvalidConfig, match=r"\.scow/config\.json"):
        home.store.get("r.example")


@pytest.mark.parametrize("folder", ["/proc/none", "/dev/null", "/proc/self"])
def test_a_folder_that_takes_no_file(folder: str) -> None:
    store = CredentialStore(folder, {})
    with pytest.raises(InvalidConfig, match="cannot be written") as caught:
        store.put("r.example", ME)
    assert caught.value.which.endswith("/config.json")


def test_names() -> None:
    assert registry_of("nginx") == registry_of("library/nginx") == "docker.io"
    assert registry_of("docker.io/nginx") == registry_of("index.docker.io/nginx") == "docker.io"
    assert registry_of("localhost/x") == "localhost"
    assert registry_of("[::1]:5000/x@sha256:1") == "[::1]:5000"
    assert registry_of("r.example:5000/a/b:1") == "r.example:5000"
    assert server_name("https://r.example:5000/v2/") == "r.example:5000"
