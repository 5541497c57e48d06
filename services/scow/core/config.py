"""Configuration: `/etc/scow/scow.toml`, then the environment, then flags, the later one winning.

Every key stands below, with its type and default. In the file::

    root = "/var/lib/scow"
    [network]
    subnet = "10.88.0.0/16"

In the environment the same key is SCOW_ROOT or SCOW_NETWORK_SUBNET, lists separated by commas.
An unknown key is an error that names it and the nearest right one.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scow.contract.errors import InvalidConfig

DEFAULT_FILE = Path("/etc/scow/scow.toml")


@dataclass(frozen=True)
class Part:
    """What is fixed about a service before it runs.

    Attributes:
        metrics: Added to the port of `server.metrics`. A new service takes a new number.
        stage: Services of a higher stage call those of lower ones, and so are stopped before them.
        on_demand: scowd starts it when somebody connects, and it ends when nobody needs it any more.
    """

    metrics: int
    stage: int
    on_demand: bool = False


PARTS = {
    "image": Part(metrics=0, stage=0),
    "volume": Part(metrics=1, stage=0),
    "network": Part(metrics=2, stage=0),
    "container": Part(metrics=3, stage=1),
    "build": Part(metrics=4, stage=2, on_demand=True),
    "docker": Part(metrics=5, stage=3, on_demand=True),
}
SERVICES = tuple(PARTS)
# Of the environment, but no keys of the configuration.
_OTHER_VARIABLES = (
    "SCOW_HOST",
    "SCOW_CONFIG",
    "SCOW_CLIENT_",
    "SCOW_TEST_",
    "SCOW_RESIDENT",
    "SCOW_ON_DEMAND",
)


@dataclass(frozen=True)
class LogSection:
    """How services log."""

    # "debug", "info", "warning" or "error".
    level: str = "info"
    # "json", "console", or "auto": JSON when standard error is not a terminal.
    format: str = "auto"


@dataclass(frozen=True)
class ServerSection:
    """What every service's server has."""

    # Calls under way at once in one service; further ones get RESOURCE_EXHAUSTED.
    max_concurrent_calls: int = 2000
    # Of them, those of one client. When three quarters of all are under way, who has 32 or more gets no further ones.
    max_calls_per_client: int = 1000
    # Seconds that calls under way may take when the service stops.
    drain_seconds: float = 5.0
    # Seconds between two reconciliations.
    reconcile_seconds: float = 60.0
    # Events kept in each journal.
    journal_keep: int = 100_000
    # Address of the Prometheus metrics, "127.0.0.1:9410"; empty means none. The image service
    # has this port, volume the next, network, container and build those after it.
    metrics: str = ""


@dataclass(frozen=True)
class RegistrySection:
    """One registry, `[image.registries."HOST[:PORT]"]`; the name is the one that references have ("docker.io")."""

    # "https://HOST[:PORT][/PATH]", asked in this order before the registry itself. Credentials for a mirror are
    # part of its URL: "https://NAME:PASSWORD@HOST".
    mirrors: tuple[str, ...] = ()
    # Requests to the registry at once; 0 means image.max_connections_per_host.
    max_connections: int = 0


@dataclass(frozen=True)
class ServeSection:
    """The registry that the image service is itself, `[image.serve]`."""

    # "127.0.0.1:5000", "[::]:5000"; one or several, none means that it is off.
    address: tuple[str, ...] = ()
    # HOST[:PORT] of the names that are pushed and pulled without one: NAME here is HOST/NAME on this machine.
    name: str = "docker.io"
    # PEM files: the certificate with those that it was signed by, and its key. Both are read anew when they change.
    certificate: Path | None = None
    key: Path | None = None
    # Speak plain HTTP to other machines too; without a certificate only the loopback interface is served.
    plain_http: bool = False
    # "none", "basic", or "token": the registry is its own token service.
    authentication: str = "none"
    # NAME:HASH lines with bcrypt, as `htpasswd -B` writes them; read anew when it changes.
    htpasswd: Path | None = None
    # "WHO REPOSITORIES RIGHT": WHO is a user, "*" for all of them or "anonymous"; REPOSITORIES a pattern of
    # complete names ("docker.io/team/*"); RIGHT is pull, push (and pull) or delete (and both). Without any, those who
    # may enter read everything and write below `name` alone, and nothing where that is docker.io.
    access: tuple[str, ...] = ()
    # URL of /token as clients reach it, where a proxy stands in front; empty means that of the request.
    realm: str = ""
    # Seconds for which a token is good.
    token_seconds: float = 300.0
    # Refuse all changes.
    read_only: bool = False
    # Let clients delete tags, manifests and blobs.
    deletion: bool = False
    # Bytes of one blob; 0 means no limit.
    max_upload_bytes: int = 0
    # Seconds for which an upload that is not gone on with, and a blob that no manifest names, are kept.
    keep_seconds: float = 86400.0
    # Connections at once; further ones are hung up on.
    max_connections: int = 512
    # Of these, from one address (of IPv6, one network of 64 bits); 0 means all. Behind a proxy all have its address.
    max_connections_per_address: int = 128
    # Seconds without a byte after which a client is given up.
    stall_seconds: float = 60.0


@dataclass(frozen=True)
class ImageSection:
    """The image service."""

    # Layers downloaded and uploaded at once, over all pulls and pushes.
    max_concurrent_downloads: int = 3
    max_concurrent_uploads: int = 5
    # How new layers are kept: "overlay" unpacks them; "erofs" keeps the tar and mounts it through an index, which takes
    # Linux 6.15; "auto" is erofs where that works. May be changed at any time: layers of both kinds lie on each other.
    snapshotter: str = "auto"
    # Processes that unpack layers; 0 means one for each processor.
    unpack_workers: int = 0
    # Seconds after which an idle unpacking process ends.
    worker_idle_seconds: float = 10.0
    # "HOST" or "HOST:PORT" of registries that speak plain HTTP or have a certificate nobody signed.
    insecure_registries: tuple[str, ...] = ()
    # Subfolders HOST or HOST:PORT (or HOST_PORT_) with further CAs (*.crt), client certificates (NAME.cert and
    # NAME.key), and containerd's hosts.toml; the subfolder _default has a hosts.toml for all other registries.
    certs_dir: Path = Path("/etc/scow/certs.d")
    # Which images are trusted (docs/guide/trust.md). Without a file here all are; elsewhere there must be one.
    trust_policy: Path = Path("/etc/scow/policy.toml")
    # Mirrors of docker.io, as Docker's key of this name.
    registry_mirrors: tuple[str, ...] = ()
    # Settings of single registries.
    registries: dict[str, RegistrySection] = field(default_factory=dict)
    # Docker Hub's search.
    search_url: str = "https://index.docker.io/v1/search"
    # URLs of nodes that are asked for a digest before anybody else.
    peers: tuple[str, ...] = ()
    # Requests to one host at once.
    max_connections_per_host: int = 16
    # Seconds to reach a mirror or a peer, and seconds for which one that cannot be reached is left alone.
    mirror_connect_seconds: float = 5.0
    mirror_retry_seconds: float = 30.0
    # Bytes of one request of an upload; 0 means that a blob is one request, as Docker sends it.
    upload_chunk_bytes: int = 0
    # Seconds to reach a registry, and seconds without a byte after which a download counts as cut.
    connect_seconds: float = 20.0
    stall_seconds: float = 30.0
    # Seconds for a whole answer that is not a blob: headers, a manifest, a configuration, a token.
    document_seconds: float = 120.0
    # Attempts after a cut connection or a server's error, counted anew after each progress.
    retries: int = 5
    # Longest Retry-After in seconds that is waited for; a longer one fails with REGISTRY_RATE_LIMITED.
    retry_after_max_seconds: float = 60.0
    # Limits on what registries and archives hold, in bytes where a size.
    max_manifest_bytes: int = 4 << 20
    max_config_bytes: int = 8 << 20
    max_layers: int = 128
    max_layer_bytes: int = 64 << 30
    max_layer_entries: int = 4_000_000
    # Of archives that are loaded: bytes when decompressed, and entries.
    max_archive_bytes: int = 256 << 30
    max_archive_entries: int = 100_000
    # Unused images go, the one that was used longest ago first, when the disk is fuller than the high mark in percent
    # (0: never), until it is at the low one.
    gc_high_percent: float = 0.0
    gc_low_percent: float = 0.0
    # Seconds since its last use in which an image is not touched then, and how many of the images that were used last
    # are not.
    gc_min_age_seconds: float = 3600.0
    gc_keep: int = 0
    # Images that stay, as patterns of their names: "registry.example/base/*", "busybox".
    gc_pinned: tuple[str, ...] = ()
    # Seconds for which damaged blobs are kept aside after a repair.
    quarantine_keep_seconds: float = 604800.0
    # Seconds for which a partial download is kept to be resumed.
    ingest_keep_seconds: float = 86400.0
    serve: ServeSection = field(default_factory=ServeSection)


@dataclass(frozen=True)
class AddressPool:
    """Subnets of networks that name none are cut from it."""

    # CIDR, of either family.
    base: str
    # Prefix length of the subnets.
    size: int


@dataclass(frozen=True)
class NetworkSection:
    """The network service."""

    # Subnet of the network "bridge", in CIDR; empty means that a free private one is chosen and kept.
    subnet: str = ""
    # Subnet of IPv6 of the network "bridge", such as fd00:5c:1::/64; empty means that containers have IPv4 alone.
    ipv6_subnet: str = ""
    # The host's address in `subnet`, and the part of it that containers get addresses of (CIDR); empty means the first
    # address, and all of it.
    gateway: str = ""
    ip_range: str = ""
    # Whether containers on the network "bridge" may talk to each other, and whether their packets to elsewhere get the
    # host's address.
    icc: bool = True
    masquerade: bool = True
    # Whether the host is made a router, without which containers reach nobody else.
    forwarding: bool = True
    # What networks get subnets from that name none, as Docker's key of this name; empty means private ones that nobody
    # is known to use.
    default_address_pools: tuple[AddressPool, ...] = ()
    # Bytes; 0 means as large as the link of the host's default route takes, 1500 at most.
    mtu: int = 0
    # Address of the host on which ports are published that name none, as Docker's key "ip"; empty means all of them.
    publish_address: str = ""
    # Name servers for containers that ask for none; empty means those of the host.
    dns: tuple[str, ...] = ()
    # Name servers where the host has none that a container could reach.
    fallback_dns: tuple[str, ...] = ("8.8.8.8", "8.8.4.4")
    # Folder of CNI configurations, folders of CNI plugins, and seconds that a plugin may take.
    cni_conf_dir: Path = Path("/etc/cni/net.d")
    cni_bin_dirs: tuple[str, ...] = ("/opt/cni/bin", "/usr/lib/cni")
    cni_seconds: float = 30.0


@dataclass(frozen=True)
class VolumeSection:
    """The volume service."""

    # Limits on archives that volumes are made of: bytes when decompressed, and entries.
    max_import_bytes: int = 1 << 40
    max_import_entries: int = 16_000_000
    # Where sockets (NAME.sock) and specifications (NAME.spec, NAME.json) of volume plugins are; earlier ones win.
    plugin_dirs: tuple[str, ...] = (
        "/run/docker/plugins",
        "/etc/docker/plugins",
        "/usr/lib/docker/plugins",
    )
    # Seconds for each call of a plugin.
    plugin_seconds: float = 60.0


@dataclass(frozen=True)
class ContainerSection:
    """The container service."""

    # What writes the logs of containers that name no driver, and the options that they have unless they give their own.
    log_driver: str = "json-file"
    log_opts: dict[str, str] = field(default_factory=dict)
    # Bytes of one log file, and how many files a container has, where neither it nor log_opts says so.
    log_max_size: int = 10 << 20
    log_max_files: int = 3
    # User namespaces of containers that do not say otherwise: "host", or "auto": each has ids of its own.
    userns: str = "host"
    # Ids of the host that are given out for that: from which on, how many to a container, and to how many containers.
    # They must be no users of the host, and each engine of a host needs its own.
    userns_first: int = 1_000_000_000
    userns_size: int = 65_536
    userns_ranges: int = 10_000
    # Folders with specifications of devices (CDI); of two that describe the same device the later one counts.
    cdi_directories: tuple[str, ...] = ("/etc/cdi", "/var/run/cdi")
    # The socket of the journal.
    journal_socket: Path = Path("/run/systemd/journal/socket")
    # Seconds for which a shim may be silent when the service comes back to it.
    adopt_seconds: float = 5.0
    # Of containers with a restart policy that say nothing themselves: seconds before the first restart and of the
    # longest pause (each is twice as long as the one before), seconds of running after which they begin anew, and the
    # part of a pause that is added to it at most, at random.
    restart_seconds: float = 0.1
    restart_max_seconds: float = 60.0
    restart_reset_seconds: float = 10.0
    restart_jitter: float = 0.1
    # Seconds for which a start waits for the containers that it depends on.
    dependency_seconds: float = 60.0
    # Start the spawner when none answers; false where it is a unit of its own.
    start_spawner: bool = True
    # Seconds after which a spawner that this service started ends when it has no container and nobody asks it, as
    # when the engine was stopped; 0 means never.
    spawner_idle_seconds: float = 60.0


@dataclass(frozen=True)
class BuildSection:
    """The build service."""

    # Programs of RUN steps at once, over all builds; 0 means one for each processor, and 4 at least.
    max_steps: int = 0
    # Seconds without a call after which the service ends, where it is started when somebody needs it; 0 means never.
    idle_seconds: float = 60.0
    # What builds may ask for with `--allow`, beyond what every container has: "security.insecure" gives RUN all
    # privileges, "device" the devices that CDI specifications of the host describe.
    allow: tuple[str, ...] = ()
    # What was used longest ago goes from the cache when the disk is fuller than the high mark in percent (0: never),
    # until it is at the low one, and when the cache has more bytes than so many (0: never).
    gc_high_percent: float = 0.0
    gc_low_percent: float = 0.0
    gc_max_bytes: int = 0
    # Seconds since its last use in which nothing goes then.
    gc_min_age_seconds: float = 3600.0
    # What builds may be made from (docs/guide/building.md). Without a file here all is; elsewhere there must be one.
    source_policy: Path = Path("/etc/scow/sources.toml")


@dataclass(frozen=True)
class DockerSection:
    """Docker's HTTP API."""

    # Seconds without a connection after which it ends, where it is started when somebody connects; 0 means never.
    idle_seconds: float = 60.0


@dataclass(frozen=True)
class Config:
    """The whole configuration of one engine."""

    # Where everything that lasts is kept.
    root: Path = Path("/var/lib/scow")
    # Sockets.
    run: Path = Path("/run/scow")
    # Names the bridge (NAME0), the nftables table, the cgroup parent and the prefix of links.
    instance: str = "scow"
    log: LogSection = field(default_factory=LogSection)
    server: ServerSection = field(default_factory=ServerSection)
    image: ImageSection = field(default_factory=ImageSection)
    network: NetworkSection = field(default_factory=NetworkSection)
    volume: VolumeSection = field(default_factory=VolumeSection)
    container: ContainerSection = field(default_factory=ContainerSection)
    build: BuildSection = field(default_factory=BuildSection)
    docker: DockerSection = field(default_factory=DockerSection)

    def socket(self, service: str) -> Path:
        """Return the path of a service's socket."""
        return self.run / f"{service}.sock"

    def data(self, service: str) -> Path:
        """Return the folder of a service's data."""
        return self.root / service


def load(
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    flags: Mapping[str, str] | None = None,
) -> Config:
    """Return the configuration.

    Args:
        file: The TOML file; None means SCOW_CONFIG or /etc/scow/scow.toml, which need not exist.
        environ: The environment.
        flags: Top-level keys from the command line; empty values are left out.

    Raises:
        InvalidConfig: An unknown key, a value of a wrong kind, or a file that cannot be read.
    """
    values = _read(file, environ)
    _merge(values, _from_environment(environ))
    _merge(values, {key: value for key, value in (flags or {}).items() if value})
    config: Config = _build(Config, values, "")
    _check_instance(config.instance)
    return config


def _check_instance(name: str) -> None:
    if not (1 <= len(name) <= 8 and name.isascii() and name.isalnum() and name[0].isalpha()):
        raise InvalidConfig(
            f"invalid instance name {name!r}",
            what="configuration key",
            which="instance",
            do="use 1 to 8 letters and digits, a letter first: names of links derive from it",
        )


def _read(file: Path | None, environ: Mapping[str, str]) -> dict[str, Any]:
    path = file or Path(environ.get("SCOW_CONFIG") or DEFAULT_FILE)
    required = file is not None or "SCOW_CONFIG" in environ
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        if not required:
            return {}
        raise InvalidConfig(
            f"there is no configuration file {path}",
            what="file",
            which=str(path),
            do="name an existing file or leave --config out",
        ) from None
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(
            f"{path} cannot be read: {error}", what="file", which=str(path), do="mend the file"
        ) from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, value in environ.items():
        if variable.startswith("SCOW_") and not variable.startswith(_OTHER_VARIABLES):
            _set(values, Config, variable.removeprefix("SCOW_").lower(), value)
    return values


def _set(values: dict[str, Any], cls: type, key: str, value: str) -> None:
    """Set a key, within the section with which its name begins."""
    for f in dataclasses.fields(cls):
        kind = _type(cls, f.name)
        if dataclasses.is_dataclass(kind) and key.startswith(f"{f.name}_"):
            inner = values.setdefault(f.name, {})
            _set(inner, typing.cast(type, kind), key.removeprefix(f"{f.name}_"), value)
            return
    values[key] = value


def _merge(base: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = dict(value) if isinstance(value, Mapping) else value


def _type(cls: type, name: str) -> Any:
    return typing.get_type_hints(cls)[name]


def _build(cls: type, values: Mapping[str, Any], prefix: str) -> Any:
    known = {f.name for f in dataclasses.fields(cls)}
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known), n=1)
            raise InvalidConfig(
                f"unknown configuration key {prefix}{key}",
                what="configuration key",
                which=f"{prefix}{key}",
                do=f"did you mean {prefix}{near[0]}?"
                if near
                else f"use one of {', '.join(sorted(known))}",
            )
        arguments[key] = _convert(_type(cls, key), value, f"{prefix}{key}")
    return cls(**arguments)


def _convert(kind: Any, value: Any, key: str) -> Any:
    """Return the value as the key's type; strings of the environment are converted."""
    try:
        if dataclasses.is_dataclass(kind):
            return _build(typing.cast(type, kind), _expect(value, Mapping), f"{key}.")
        origin = typing.get_origin(kind)
        if origin is tuple:
            items = value.split(",") if isinstance(value, str) else _expect(value, list)
            inner = typing.get_args(kind)[0]
            return tuple(_convert(inner, item, key) for item in items if item != "")
        if origin is dict:
            inner = typing.get_args(kind)[1]
            return {k: _convert(inner, v, f"{key}.{k}") for k, v in _expect(value, Mapping).items()}
        if origin in (typing.Union, types.UnionType):
            return _convert(typing.get_args(kind)[0], value, key)
        if kind is bool:
            return _boolean(value)
        if (
            kind in (int, float)
            and isinstance(value, int | float | str)
            and not isinstance(value, bool)
        ):
            return kind(value)
        if kind in (str, Path) and isinstance(value, str):
            return kind(value)
    except (ValueError, TypeError):
        pass
    raise InvalidConfig(
        f"configuration key {key} has the value {value!r}",
        what="configuration key",
        which=key,
        do=f"give a value of type {getattr(kind, '__name__', str(kind))}",
    )


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "1", "yes"):
        return True
    if value in ("false", "0", "no"):
        return False
    raise ValueError(value)


def _expect(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(value)
    return value
