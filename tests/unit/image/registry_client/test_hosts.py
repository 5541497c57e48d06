"""Which hosts are asked, as the configuration and hosts.toml say."""

from __future__ import annotations

from pathlib import Path

import pytest

from scow.contract.errors import InvalidConfig
from scow.core import config
from scow.core.config import ImageSection, RegistrySection
from scow.image.registry_client import hosts_toml
from scow.image.registry_client.credentials import Credentials
from scow.image.registry_client.endpoints import ALL, PULL, PUSH, RESOLVE, Endpoint, parse_url
from scow.image.registry_client.hosts import Hosts


def shown(endpoints: list[Endpoint]) -> list[str]:
    return [f"{each.scheme}//{each.host}{each.base}" for each in endpoints]


def test_peers_then_mirrors_then_the_registry(tmp_path: Path) -> None:
    settings = ImageSection(
        certs_dir=tmp_path,
        peers=("node2:5000",),
        registry_mirrors=("https://hub.mirror/",),
        registries={
            "docker.io": RegistrySection(mirrors=("http://first:1",)),
            "quay.io": RegistrySection(mirrors=("https://m/cache",)),
        },
    )
    hosts = Hosts(settings)
    assert shown(hosts.able("docker.io", PULL)) == [
        "https//node2:5000/v2",
        "http//first:1/v2",
        "https//hub.mirror/v2",
        "//registry-1.docker.io/v2",
    ]
    assert shown(hosts.able("docker.io", PULL, RESOLVE))[0] == "http//first:1/v2"
    assert shown(hosts.able("docker.io", PUSH)) == ["//registry-1.docker.io/v2"]
    assert shown(hosts.able("quay.io", PULL, RESOLVE)) == ["https//m/cache/v2", "//quay.io/v2"]
    assert shown(hosts.able("Other.Example:5000", PULL)) == [
        "https//node2:5000/v2",
        "//other.example:5000/v2",
    ]
    namespaces = [each.namespace for each in hosts.able("quay.io", PULL)]
    assert namespaces == ["quay.io", "quay.io", ""]


def test_who_is_down_is_left_alone_for_a_while(tmp_path: Path) -> None:
    now = 0.0
    settings = ImageSection(certs_dir=tmp_path, peers=("a", "b"), mirror_retry_seconds=30)
    hosts = Hosts(settings, lambda: now)
    hosts.note_down(hosts.able("x.example", PULL)[0])
    assert [each.host for each in hosts.able("x.example", PULL)] == ["b", "x.example"]
    now = 31.0
    assert [each.host for each in hosts.able("x.example", PULL)] == ["a", "b", "x.example"]


def test_the_configuration_is_read(tmp_path: Path) -> None:
    file = tmp_path / "scow.toml"
    file.write_text(
        '[image]\nregistry_mirrors = ["https://a"]\n'
        '[image.registries."quay.io"]\nmirrors = ["https://b"]\nmax_connections = 2\n'
    )
    settings = config.load(file, {}).image
    assert settings.registries == {"quay.io": RegistrySection(("https://b",), 2)}
    assert Hosts(settings).able("quay.io", PULL)[0].host == "b"


@pytest.mark.parametrize("url", ["ftp://x", "https://", "https://x:port", "https://a?b", "http://"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(InvalidConfig, match=r"image\.peers"):
        Hosts(ImageSection(peers=(url,)))


def test_a_password_in_a_url_is_used_and_not_told() -> None:
    endpoint = parse_url("https://me:p%40ss@[::1]:5000/x", "key")
    assert (endpoint.host, endpoint.base) == ("[::1]:5000", "/x/v2")
    assert endpoint.credentials == Credentials("me", "p@ss")
    assert "p@ss" not in repr(endpoint)
    with pytest.raises(InvalidConfig) as caught:
        parse_url("https://me:secret@?", "key")
    assert "secret" not in str(caught.value)


WHOLE = """
server = "https://upstream.example"
capabilities = ["pull"]
[host."https://mirror.example:443"]
capabilities = ["pull", "resolve"]
ca = "ca.pem"
client = [["c.pem", "k.pem"]]
skip_verify = true
[host."https://mirror.example:443".header]
x-a = ["1", "2"]
[host."http://other/v2/deep"]
override_path = true
client = "both.pem"
dial_timeout = "1m2.5s"
"""


def test_hosts_toml(tmp_path: Path) -> None:
    folder = tmp_path / "r.example_5000_"
    folder.mkdir()
    (folder / "hosts.toml").write_text(WHOLE)
    (first, second), server = hosts_toml.read(tmp_path, "r.example:5000")
    assert first.host == "mirror.example"
    assert first.may == {PULL, RESOLVE}
    assert first.headers == (("x-a", "1"), ("x-a", "2"))
    assert first.tls.cas == (str(folder / "ca.pem"),)
    assert first.tls.pairs == ((str(folder / "c.pem"), str(folder / "k.pem")),)
    assert not first.tls.verify
    assert (second.scheme, second.base, second.may) == ("http", "/v2/deep", ALL)
    assert second.tls.pairs == ((str(folder / "both.pem"),) * 2,)
    assert second.scoped("library/nginx") == "deep/library/nginx"
    assert (first.connect_seconds, second.connect_seconds) == (0, 62.5)
    assert server is not None
    assert server.host == "upstream.example"
    assert server.may == {PULL}


def test_the_default_is_for_those_without_a_folder(tmp_path: Path) -> None:
    for name in ("_default", "with.certificates"):
        (tmp_path / name).mkdir()
    (tmp_path / "_default/hosts.toml").write_text('[host."https://all"]\n')
    assert [each.host for each in hosts_toml.read(tmp_path, "any.example")[0]] == ["all"]
    assert hosts_toml.read(tmp_path, "with.certificates") == ([], None)


@pytest.mark.parametrize(
    "text",
    [
        "server = 1",
        "host = 1",
        '[host."https://x"]\nskip_verify = "yes"',
        '[host."https://x"]\ncapabilities = ["fly"]',
        '[host."https://x"]\nclient = [["a"]]',
        '[host."https://x"]\nclient = [[1, 2]]',
        '[host."https://x"]\nheader = 1',
        '[host."https://x"]\nca = 1',
        '[host."https://x"]\ndial_timeout = "soon"',
        '[host."https://x"]\ndial_timeout = 3',
        '[host."https://x"]\nunknown = 1',
        '[host]\n"https://x" = 1',
        '[host."ftp://x"]',
        "= broken",
    ],
)
def test_wrong_files_are_named(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "r.example"
    folder.mkdir()
    (folder / "hosts.toml").write_text(text)
    with pytest.raises(InvalidConfig, match=r"r\.example/hosts\.toml"):
        hosts_toml.read(tmp_path, "r.example")
