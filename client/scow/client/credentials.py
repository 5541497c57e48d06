"""Credentials for registries on the client's side, kept as Docker keeps them.

A file `config.json` in ~/.scow (SCOW_CLIENT_DIR changes the folder) has them, or names helper programs that do::

    {
        "auths": {"registry.example:5000": {"auth": "<base64 of NAME:PASSWORD>"}, "other": {"identitytoken": "..."}},
        "credsStore": "secretservice",                  docker-credential-secretservice, for all registries
        "credHelpers": {"cloud.example": "cloud"}       docker-credential-cloud, for this one
    }

What is not found there is looked for in Docker's own file (~/.docker/config.json; DOCKER_CONFIG), which is only read.
The engine keeps no credentials: each call carries those that it needs.

https://docs.docker.com/reference/cli/docker/login/, https://github.com/docker/docker-credential-helpers

Example::

    store = CredentialStore()
    store.put("registry.example:5000", Credentials("me", "secret"))
    client.images.pull("registry.example:5000/app", auth=store.auth("registry.example:5000/app"))
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scow.contract.errors import CredentialHelperFailed, InvalidConfig

if TYPE_CHECKING:
    from scow.api.image.v1.image_pb2 import Auth

HUB = "docker.io"
# The name of Docker Hub in these files, from the time of the first API.
_HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = (HUB, "index.docker.io", "registry-1.docker.io")
_FILE = "config.json"
_PROGRAM = "docker-credential-"
_PROGRAM_NAME = re.compile(r"[A-Za-z0-9._-]+")
# The name that helpers give an identity token.
_TOKEN_NAME = "<token>"
_HELPER_SECONDS = 60
_NOT_FOUND = "credentials not found"


class Credentials(NamedTuple):
    """A name and a password, or an identity token instead of the password."""

    username: str = ""
    password: str = ""
    token: str = ""

    def __repr__(self) -> str:
        """Return a text without secrets."""
        return f"Credentials({self.username!r})"

    def auth(self) -> Auth:
        """Return the message that calls take."""
        from scow.api.image.v1.image_pb2 import Auth

        if self.token:
            return Auth(token=self.token)
        return Auth(username=self.username, password=self.password)


def registry_of(reference: str) -> str:
    """Return the registry that a reference names: "docker.io" where it names none."""
    first, slash, _ = reference.partition("/")
    is_host = first == "localhost" or first != first.lower() or any(c in first for c in ".:[")
    return server_name(first) if slash and is_host else HUB


def server_name(text: str) -> str:
    """Return HOST[:PORT] of what people and old files write; "docker.io" for nothing."""
    host = text.rpartition("://")[2].partition("/")[0]
    return HUB if host in ("", *_HUB_NAMES) else host


class CredentialStore:
    """The credentials of one user.

    Args:
        folder: Of the file; None means SCOW_CLIENT_DIR, then ~/.scow.
        environ: The environment.
    """

    def __init__(
        self, folder: str | Path | None = None, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._environ = environ
        home = Path(environ.get("HOME") or "~").expanduser()
        own = folder or environ.get("SCOW_CLIENT_DIR") or home / ".scow"
        self.file = Path(own) / _FILE
        self._docker = Path(environ.get("DOCKER_CONFIG") or home / ".docker") / _FILE

    def auth(self, reference: str) -> Auth | None:
        """Return what a call with a reference needs; None when nothing is kept for its registry.

        Raises:
            InvalidConfig, CredentialHelperFailed: See `scow.contract.errors`.
        """
        found = self.get(registry_of(reference))
        return None if found is None else found.auth()

    def get(self, server: str) -> Credentials | None:
        """Return what is kept for a registry.

        Raises:
            InvalidConfig: A file cannot be read.
            CredentialHelperFailed: A helper program is missing, or fails.
        """
        name = server_name(server)
        for file in (self.file, self._docker):
            values = _read(file)
            found = self._from_helper(values, name) or _from_auths(values, name, file)
            if found is not None:
                return found
        return None

    def put(self, server: str, credentials: Credentials) -> str:
        """Keep credentials; return the file with them in plain sight, or nothing when a helper has them.

        Raises:
            InvalidConfig, CredentialHelperFailed: As of `get`; nothing is kept then.
        """
        name = server_name(server)
        with self._changing() as values:
            helper = _helper(values, name)
            auths = _section(values, "auths")
            _drop(auths, name)
            if helper:
                secret = credentials.token or credentials.password
                username = _TOKEN_NAME if credentials.token else credentials.username
                entry = {"ServerURL": _key(name), "Username": username, "Secret": secret}
                self._run(helper, "store", json.dumps(entry))
                auths[_key(name)] = {}
            else:
                auths[_key(name)] = _entry(credentials)
        return "" if helper else str(self.file)

    def erase(self, server: str) -> bool:
        """Keep them no more; tell whether there were any.

        Raises:
            InvalidConfig, CredentialHelperFailed: As of `get`.
        """
        name = server_name(server)
        with self._changing() as values:
            helper = _helper(values, name)
            erased = bool(helper) and self._from_helper(values, name) is not None
            if erased:
                self._run(helper, "erase", _key(name))
            auths = values.get("auths")
            return (isinstance(auths, dict) and _drop(auths, name)) or erased

    def users(self) -> dict[str, str]:
        """Return the names of all users by registry.

        Raises:
            InvalidConfig, CredentialHelperFailed: As of `get`.
        """
        values = _read(self.file)
        found = {}
        helpers = {values.get("credsStore"), *_section(values, "credHelpers").values()}
        for helper in sorted(each for each in helpers if isinstance(each, str) and each):
            listed = _object(self._run(helper, "list", ""), helper)
            found.update({server_name(key): str(user) for key, user in listed.items()})
        for key in _section(values, "auths"):
            kept = _from_auths(values, server_name(key), self.file)
            if kept is not None:
                found[server_name(key)] = kept.username
        return found

    def _from_helper(self, values: dict[str, Any], name: str) -> Credentials | None:
        helper = _helper(values, name)
        if not helper:
            return None
        output = self._run(helper, "get", _key(name))
        if output is None:
            return None
        value = _object(output, helper)
        username, secret = str(value.get("Username", "")), str(value.get("Secret", ""))
        if username == _TOKEN_NAME:
            return Credentials(token=secret)
        return Credentials(username, secret)

    def _run(self, helper: str, verb: str, text: str) -> str | None:
        """Run a helper; return what it printed, None when it has no such credentials."""
        import subprocess

        program = f"{_PROGRAM}{helper}"
        if not _PROGRAM_NAME.fullmatch(helper):
            raise _failed(program, "its name has invalid characters")
        try:
            done = subprocess.run(
                [program, verb],
                input=text,
                capture_output=True,
                text=True,
                check=False,
                timeout=_HELPER_SECONDS,
                env=dict(self._environ),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _failed(program, str(error)) from error
        if done.returncode == 0:
            return done.stdout
        said = (done.stdout or done.stderr).strip()
        if verb == "get" and _NOT_FOUND in said:
            return None
        raise _failed(program, said[:200] or f"it ended with {done.returncode}")

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """Give the file's values to be changed; they are written when the block ends without an error."""
        folder = self.file.parent
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _unwritable(self.file, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            values = _read(self.file)
            before = json.dumps(values)
            yield values
            if json.dumps(values) != before:
                _write(self.file.resolve(), values)
        finally:
            os.close(descriptor)


def _read(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise _broken(file, str(error)) from error
    if not isinstance(values, dict):
        raise _broken(file, "it is not a JSON object")
    return values


def _write(file: Path, values: dict[str, Any]) -> None:
    """Put a file in place of another, whole or not at all."""
    temporary = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as stream:
            json.dump(values, stream, indent="\t")
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _unwritable(file, error) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _section(values: dict[str, Any], key: str) -> dict[str, Any]:
    """Return an object within the file, made when it is not there."""
    found = values.get(key)
    if not isinstance(found, dict):
        found = values[key] = {}
    return found


def _key(name: str) -> str:
    return _HUB_KEY if name == HUB else name


def _helper(values: dict[str, Any], name: str) -> str:
    """Return the helper for a registry, or nothing."""
    helpers = values.get("credHelpers")
    if isinstance(helpers, dict):
        for key, helper in helpers.items():
            if server_name(key) == name:
                return str(helper)
    return str(values.get("credsStore") or "")


def _from_auths(values: dict[str, Any], name: str, file: Path) -> Credentials | None:
    auths = values.get("auths")
    for key, entry in auths.items() if isinstance(auths, dict) else ():
        if server_name(key) != name or not isinstance(entry, dict) or not any(entry.values()):
            continue
        token = entry.get("identitytoken") or entry.get("registrytoken")
        if token:
            return Credentials(token=str(token))
        if not entry.get("auth"):
            return Credentials(str(entry.get("username", "")), str(entry.get("password", "")))
        try:
            pair = base64.b64decode(str(entry["auth"]), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise _broken(file, f"the entry of {key} cannot be read") from error
        username, _, password = pair.partition(":")
        return Credentials(username, password.rstrip("\0"))
    return None


def _entry(credentials: Credentials) -> dict[str, str]:
    if credentials.token:
        return {"identitytoken": credentials.token}
    pair = f"{credentials.username}:{credentials.password}".encode()
    return {"auth": base64.b64encode(pair).decode()}


def _drop(auths: dict[str, Any], name: str) -> bool:
    """Drop all entries of a registry, however their keys are written."""
    keys = [key for key in auths if server_name(key) == name]
    dropped = [auths.pop(key) for key in keys]
    return any(dropped)


def _object(text: str | None, helper: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _failed(f"{_PROGRAM}{helper}", "its output is not a JSON object")
    return value


def _failed(program: str, why: str) -> CredentialHelperFailed:
    return CredentialHelperFailed(
        f"the program {program} failed: {why}",
        what="program",
        which=program,
        do="install it, or change credsStore and credHelpers in config.json",
    )


def _unwritable(file: Path, error: OSError) -> InvalidConfig:
    return InvalidConfig(
        f"{file} cannot be written: {error.strerror or error}",
        what="file",
        which=str(file),
        do="mend its folder, or name another with SCOW_CLIENT_DIR",
    )


def _broken(file: Path, why: str) -> InvalidConfig:
    return InvalidConfig(
        f"{file} cannot be read: {why}", what="file", which=str(file), do="mend or delete the file"
    )
