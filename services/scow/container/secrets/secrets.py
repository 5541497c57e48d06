"""The secrets of the engine, and those of containers."""

from __future__ import annotations

import json
import os
import re
import secrets
import struct
from collections.abc import Iterable

from scow.api.container.v1 import secret_pb2 as pb
from scow.api.container.v1.container_pb2 import ContainerConfig
from scow.container.model.containers import Containers
from scow.container.model.invalid import invalid
from scow.container.secrets.cipher import Cipher
from scow.container.secrets.rows import SecretRow, SecretRows
from scow.contract.errors import AmbiguousId, InvalidName, NameInUse, SecretInUse, SecretNotFound
from scow.core import labels
from scow.core.journal import Journal
from scow.core.requests import remember
from scow.core.times import now_ns, to_proto

_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9])?")
_MOST = 500 << 10
_MOST_OF_CONTAINER = 64
_FOLDER = "/run/secrets"
_LENGTH = struct.Struct(">I")


class Secrets:
    """Keeps secrets.

    Args:
        rows: The table.
        cipher: Encrypts what is in them.
        journal: Of the service.
        containers: Who have them.
    """

    def __init__(
        self, rows: SecretRows, cipher: Cipher, journal: Journal, containers: Containers
    ) -> None:
        self._rows = rows
        self._cipher = cipher
        self._journal = journal
        self._containers = containers

    def create(self, request: pb.CreateSecretRequest) -> pb.Secret:
        """Keep a secret.

        Raises:
            InvalidName: The name has other characters, or too many.
            InvalidConfig: There is nothing in it, or too much.
            NameInUse: There is one with this name.
        """
        if not _NAME.fullmatch(request.name):
            raise InvalidName(
                f"invalid secret name {request.name!r:.200}",
                what="secret",
                which=request.name,
                do="use up to 64 letters, digits, - _ and ., a letter or digit first and last",
            )
        if not 0 < len(request.data) <= _MOST:
            do = f"give 1 to {_MOST} bytes"
            raise invalid("data", f"has {len(request.data)} bytes", do)
        labels.check("labels", request.labels)
        if self._rows.named(request.name) is not None:
            raise NameInUse(
                f"secret {request.name} already exists",
                what="secret",
                which=request.name,
                do="remove it, or choose another name",
            )
        secret = secrets.token_hex(16)
        sealed = self._cipher.encrypt(secret, request.data)
        row = SecretRow(secret, request.name, dict(request.labels), now_ns(), sealed)
        with self._rows.store.transaction() as tx:
            self._rows.insert(tx, row)
            self._journal.append(tx, "secret", secret, "create", {"name": row.name}, request.labels)
            remember(tx, described(row))
        return described(row)

    def mark(self, request: pb.CreateSecretRequest) -> pb.CreateSecretRequest:
        """Return a request that says nothing of what is in the secret, for the record of requests."""
        marked = pb.CreateSecretRequest()
        marked.CopyFrom(request)
        marked.data = self._cipher.mark(request.data)
        return marked

    def list(self) -> list[pb.Secret]:
        """Return all, by name."""
        return [described(row) for row in self._rows.all()]

    def find(self, text: str) -> pb.Secret:
        """Return the one with this id, name, or beginning of an id.

        Raises:
            SecretNotFound: There is none.
            AmbiguousId: Several ids begin so.
        """
        return described(self._find(text))

    def _find(self, text: str) -> SecretRow:
        row = self._rows.one(text) or self._rows.named(text)
        if row is not None:
            return row
        found = [row for row in self._rows.all() if text and row.id.startswith(text)]
        if len(found) == 1:
            return found[0]
        if found:
            raise AmbiguousId(
                f"several secrets' ids begin with {text}",
                what="secret",
                which=text,
                do="give more of the id",
            )
        raise SecretNotFound(
            f"no such secret: {text}",
            what="secret",
            which=text,
            do="see `scow secret ls` for those there are",
        )

    def remove(self, text: str) -> None:
        """Forget one.

        Raises:
            SecretNotFound: There is none.
            SecretInUse: A container has it.
        """
        row = self._find(text)
        users = [
            entry.owner
            for entry in self._containers.all()
            if any(each.secret == row.id for each in entry.described.config.secrets)
        ]
        if users:
            raise SecretInUse(
                f"secret {row.name} is in use by {', '.join(users[:10])}",
                what="secret",
                which=row.name,
                do="remove the containers that have it first",
                owners=",".join(users[:10]),
            )
        with self._rows.store.transaction() as tx:
            self._rows.delete(tx, row.id)
            self._journal.append(tx, "secret", row.id, "remove", {"name": row.name}, row.labels)
            remember(tx)

    def resolve(self, config: ContainerConfig) -> None:
        """Write into a configuration which secrets it means, and where they are in the container.

        Raises:
            SecretNotFound: There is no such secret.
            InvalidConfig: A target or mode is wrong, or two are in one place.
        """
        if len(config.secrets) > _MOST_OF_CONTAINER:
            raise invalid("secrets", "are too many", f"give {_MOST_OF_CONTAINER} at most")
        places = set()
        for each in config.secrets:
            row = self._find(each.secret)
            each.secret = row.id
            each.target = _place(each.target or row.name)
            if each.target in places:
                raise invalid("secrets", f"has two for {each.target}", "give each its own target")
            places.add(each.target)
            if each.HasField("mode") and each.mode > 0o7777:
                raise invalid("secrets", f"has the mode {each.mode:o}", "use permission bits")

    def handed_over(self, config: ContainerConfig) -> int:
        """Return a descriptor of the files that a container gets, in memory; -1 when it has none.

        The length of a list in JSON (4 bytes), the list, and what is in each file. The caller closes it.

        Raises:
            SecretNotFound, DataLoss: One is gone or cannot be decrypted.
        """
        if not config.secrets:
            return -1
        files, contents = [], []
        for each in config.secrets:
            row = self._find(each.secret)
            data = self._cipher.decrypt(row.id, row.sealed)
            mode = each.mode if each.HasField("mode") else 0o444
            files.append([each.target, each.uid, each.gid, mode, len(data)])
            contents.append(data)
        head = json.dumps(files).encode()
        return _in_memory([_LENGTH.pack(len(head)), head, *contents])


def described(row: SecretRow) -> pb.Secret:
    """Return a secret as clients see it."""
    return pb.Secret(
        id=row.id, name=row.name, labels=row.labels, created_at=to_proto(row.created_ns)
    )


def _place(target: str) -> str:
    """Return the absolute path of a target."""
    parts = target.split("/")
    if not target.startswith("/"):
        target = f"{_FOLDER}/{target}"
    inside = target.startswith(f"{_FOLDER}/") and "/" in target[len(_FOLDER) + 1 :]
    wrong = {"", ".", ".."} & set(parts[1:] if parts[0] == "" else parts)
    if wrong or inside or len(target) > 1024 or "\0" in target:
        raise invalid(
            "secrets", f"has the target {target!r:.200}", "use a file's name or an absolute path"
        )
    return target


def _in_memory(parts: Iterable[bytes]) -> int:
    fd = os.memfd_create("secrets", os.MFD_CLOEXEC)
    try:
        for part in parts:
            view = memoryview(part)
            while view:
                view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd
