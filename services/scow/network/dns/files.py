"""resolv.conf, hosts and hostname of a container, as host files that the container service binds into it.

They are in `files/<owner>/` under the service's folder, made once for each life of a container. It may write to them:
while it runs, resolv.conf is changed only if nobody in it did so, of hosts only the lines with its own addresses, and
neither once it has grown beyond a bound or does not open at once.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from scow.contract.errors import InvalidArgument
from scow.core.disk import writing
from scow.kernel.trees import remove_tree

_HOST_RESOLV = Path("/etc/resolv.conf")
# What systemd-resolved itself asks; /etc/resolv.conf then names only its stub on loopback.
_RESOLVED = Path("/run/systemd/resolve/resolv.conf")
_HOST_HOSTS = Path("/etc/hosts")
_LOCAL_HOSTS = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
# What was written as resolv.conf, to see whether it was changed since.
_MADE = "resolv.conf.made"
_GATEWAY_WORD = "host-gateway"
# What a container has made larger is left alone.
_LARGEST = 1 << 20
# Not waiting: a container may hold a lease on its file (fcntl(2), F_SETLEASE).
_CHANGE = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_log = structlog.get_logger()


@dataclass(frozen=True)
class Resolver:
    """The contents of a resolv.conf(5)."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the file's text."""
        lines = [f"nameserver {server}" for server in self.servers]
        if self.search:
            lines.append(f"search {' '.join(self.search)}")
        if self.options:
            lines.append(f"options {' '.join(self.options)}")
        return "".join(f"{line}\n" for line in lines)


def parse_resolver(text: str) -> Resolver:
    """Return what a resolv.conf says; of several search lines the last counts."""
    servers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            search = words[1:]
        elif words[0] == "options":
            options += words[1:]
    return Resolver(tuple(servers), tuple(search), tuple(options))


def host_resolver(path: Path = _HOST_RESOLV, resolved: Path = _RESOLVED) -> Resolver:
    """Return the host's resolver; where it is systemd-resolved's stub, the servers behind it."""
    resolver = parse_resolver(_read(path))
    if resolver.servers == ("127.0.0.53",):
        behind = parse_resolver(_read(resolved))
        if behind.servers:
            return behind
    return resolver


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def resolver_for(
    host: Resolver,
    asked: Resolver,
    default: Sequence[str],
    fallback: Sequence[str],
    reachable: Collection[int] | None,
) -> Resolver:
    """Return a container's resolver: what it asks for, else the configuration's, else the host's.

    Args:
        host: The host's.
        asked: The request's; a search of "." means none.
        default: The configuration's servers.
        fallback: Servers where none of the host's can be reached.
        reachable: 4, 6 or both: the families of the addresses that the container has in a network of its own,
            from which the host's loopback cannot be reached; None on the host's network.
    """
    servers = tuple(asked.servers) or tuple(default)
    if not servers:
        servers = host.servers
        if reachable is not None:
            versions = reachable or {4}
            servers = tuple(s for s in servers if _is_reachable(s, versions)) or tuple(fallback)
    search = () if asked.search == (".",) else asked.search or host.search
    return Resolver(servers, search, asked.options or host.options)


def served(resolver: Resolver, address: str) -> Resolver:
    """Return a container's resolver where its name server is the engine's, which asks those of `resolver`.

    Names without a dot are asked for as they are first, as Docker has it: they are containers.
    """
    options = resolver.options
    if not any(option.startswith("ndots:") for option in options):
        options = (*options, "ndots:0")
    return Resolver((address,), resolver.search, options)


def is_qualified(options: Iterable[str]) -> bool:
    """Tell whether options ask that names without a dot are completed first: ndots of 1 or more."""
    values = [option.partition(":")[2] for option in options if option.startswith("ndots:")]
    # As resolv.conf(5) reads it: what is not a number is 0.
    return (
        bool(values) and values[-1].isascii() and values[-1].isdigit() and int(values[-1][:9]) > 0
    )


def _is_reachable(server: str, versions: Collection[int]) -> bool:
    try:
        address = ipaddress.ip_address(server)
    except ValueError:
        return False
    # An address of IPv6 that is one of a link alone has no meaning on another; those of IPv4 are routed.
    of_link = address.version == 6 and address.is_link_local
    own = address.is_loopback or address.is_unspecified
    return address.version in versions and not own and not of_link


def check_servers(servers: Iterable[str]) -> None:
    """Check what --dns gave.

    Raises:
        InvalidArgument: One is no IP address.
    """
    for server in servers:
        try:
            ipaddress.ip_address(server)
        except ValueError as error:
            raise InvalidArgument(
                f"the name server {server!r} is no IP address",
                what="name server",
                which=server,
                do="give an address such as 192.0.2.53",
            ) from error


def extra_hosts(entries: Iterable[str], gateway: str) -> list[tuple[str, str]]:
    """Return address and name for each "name:address".

    Args:
        entries: As --add-host gave them; "host-gateway" as address stands for the host.
        gateway: The host's address on the bridge.

    Raises:
        InvalidArgument: An entry that is not like that.
    """
    found = []
    for entry in entries:
        name, _, address = entry.partition(":")
        address = gateway if address == _GATEWAY_WORD else address.strip("[]")
        try:
            ipaddress.ip_address(address)
        except ValueError:
            address = ""
        if not name or not address or any(c.isspace() for c in name):
            raise InvalidArgument(
                f"the extra host {entry!r} is not name:address",
                what="extra host",
                which=entry,
                do='give "name:address" or "name:host-gateway"',
            )
        found.append((address, name))
    return found


def hosts_text(
    extra: Sequence[tuple[str, str]], addresses: Iterable[str], names: Sequence[str]
) -> str:
    """Return the hosts(5) of a container with a network of its own.

    Args:
        extra: Addresses and names.
        addresses: The container's.
        names: What each of them is called.
    """
    lines = [f"{address}\t{name}\n" for address, name in extra]
    lines += [f"{address}\t{' '.join(names)}\n" for address in addresses]
    return _LOCAL_HOSTS + "".join(lines)


def host_hosts_text(extra: Sequence[tuple[str, str]]) -> str:
    """Return the hosts(5) of a container on the host's network: the host's, and the extra ones."""
    text = _read(_HOST_HOSTS)
    if text and not text.endswith("\n"):
        text += "\n"
    return text + "".join(f"{address}\t{name}\n" for address, name in extra)


@dataclass(frozen=True)
class Paths:
    """Where a container's files are."""

    resolv_conf: Path
    hosts: Path
    hostname: Path


class _Opened:
    """A file that a container may write to, open.

    Attributes:
        text: What it holds; bytes that are no text stay what they are.
    """

    def __init__(self, descriptor: int, data: bytes) -> None:
        self._descriptor = descriptor
        self.text = data.decode(errors="surrogateescape")

    def replace(self, text: str) -> None:
        """Have it hold something else. It is mounted into the container, where a file in its place is not seen."""
        os.ftruncate(self._descriptor, 0)
        rest = memoryview(text.encode(errors="surrogateescape"))
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[_Opened | None]:
    """Open a file that a container may write to; None where it is to be left alone."""
    try:
        descriptor = os.open(path, _CHANGE)
    except OSError as error:
        _log.warning("a container's file is left alone", path=str(path), error=str(error))
        yield None
        return
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        data = os.pread(descriptor, _LARGEST + 1, 0) if regular else b""
        if regular and len(data) <= _LARGEST:
            yield _Opened(descriptor, data)
        else:
            _log.warning(
                "a container's file is left alone", path=str(path), error="not a small regular file"
            )
            yield None
    finally:
        os.close(descriptor)


class Files:
    """The folder `files` of the service."""

    def __init__(self, base: Path) -> None:
        self._base = base / "files"
        self._base.mkdir(mode=0o711, parents=True, exist_ok=True)

    def paths(self, owner: str) -> Paths:
        """Return where an owner's files are."""
        folder = self._folder(owner)
        return Paths(folder / "resolv.conf", folder / "hosts", folder / "hostname")

    def exist(self, owner: str) -> bool:
        """Tell whether an owner's files are there."""
        return self._folder(owner).is_dir()

    def set_resolver(self, owner: str, resolver: Resolver) -> None:
        """Change a running container's resolv.conf, unless somebody in it changed it himself."""
        path = self.paths(owner).resolv_conf
        made = path.with_name(_MADE)
        with writing(self._base), _opened(path) as file:
            if file is None or file.text != _read(made):
                return
            text = resolver.text()
            made.write_text(text)
            file.replace(text)

    def change_hosts(
        self, owner: str, names: Sequence[str], new: Iterable[str] = (), gone: Iterable[str] = ()
    ) -> None:
        """Change the lines with a running container's own addresses in its hosts, and no others.

        Args:
            owner: Whose.
            names: What its addresses are called.
            new: Addresses that it has from now on.
            gone: Addresses that it has no more.
        """
        lines = {f"{address}\t{' '.join(names)}\n" for address in gone}
        with writing(self._base), _opened(self.paths(owner).hosts) as file:
            if file is None:
                return
            text = "".join(line for line in file.text.splitlines(True) if line not in lines)
            if text and not text.endswith("\n"):
                text += "\n"
            file.replace(text + "".join(f"{address}\t{' '.join(names)}\n" for address in new))

    def write(self, owner: str, resolver: Resolver, hosts: str, hostname: str) -> None:
        """Write an owner's files, all of them or none."""
        folder = self._folder(owner)
        new = folder.with_name(f".{folder.name}")
        remove_tree(new)
        text = resolver.text()
        texts = {"resolv.conf": text, _MADE: text, "hosts": hosts, "hostname": f"{hostname}\n"}
        with writing(self._base):
            new.mkdir(mode=0o755)
            for name, text in texts.items():
                path = new / name
                path.write_text(text)
                path.chmod(0o644)
        self.remove(owner)
        new.rename(folder)

    def remove(self, owner: str) -> None:
        """Remove an owner's files, if there are any."""
        remove_tree(self._folder(owner))

    def remove_others(self, owners: Iterable[str]) -> list[str]:
        """Remove the files of all but these owners, and half-written ones; return the folders' names."""
        wanted = {self._folder(owner).name for owner in owners}
        leftovers = [name for name in os.listdir(self._base) if name not in wanted]
        for name in leftovers:
            with contextlib.suppress(OSError):  # the next look finds it again
                remove_tree(self._base / name)
        return leftovers

    def _folder(self, owner: str) -> Path:
        return self._base / owner.replace("/", "_")
