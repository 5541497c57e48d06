"""What the image service tells of its store."""

from __future__ import annotations

from pathlib import Path

import pytest

from scow.core.config import ImageSection, RegistrySection
from scow.image.catalog.info import filesystem, info

_MOUNTS = r"""21 1 8:1 / / rw - ext4 /dev/sda1 rw
22 21 0:5 / /var/lib rw,nosuid shared:2 - xfs /dev/sdb rw
23 22 0:6 / /var/lib/a\040b rw - tmpfs tmpfs rw
24 23 0:7 / /var/lib/a\040b rw - btrfs /dev/sdc rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv", "ext4"),
        ("/var/lib/scow", "xfs"),
        ("/var/library", "ext4"),
        ("/var/lib/a b/c", "btrfs"),
    ],
)
def test_filesystem(path: str, kind: str) -> None:
    assert filesystem(Path(path), _MOUNTS) == kind


def test_no_mounts() -> None:
    assert filesystem(Path("/x"), "") == ""


def test_registries_and_proxies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy:3128/x")
    monkeypatch.setenv("no_proxy", "localhost")
    settings = ImageSection(
        certs_dir=tmp_path,
        registry_mirrors=("https://hub.mirror",),
        registries={
            "quay.io": RegistrySection(mirrors=("https://u:p@quay.mirror/v2", "quay2.mirror")),
            "docker.io": RegistrySection(mirrors=("https://first.mirror",)),
            "plain.io": RegistrySection(max_connections=1),
        },
    )
    found = info(settings, tmp_path, ["overlay"])
    assert found.registry_mirrors == ["https://first.mirror", "https://hub.mirror"]
    assert {each.domain: list(each.mirrors) for each in found.mirrored_registries} == {
        "docker.io": ["https://first.mirror", "https://hub.mirror"],
        "quay.io": ["https://xxxxx:xxxxx@quay.mirror/v2", "quay2.mirror"],
    }
    assert found.https_proxy == "http://xxxxx:xxxxx@proxy:3128/x"
    assert found.no_proxy == "localhost"


def test_mirrors_of_hosts_toml(tmp_path: Path) -> None:
    files = {
        "docker.io": '[host."http://u:p@cache:5000/hub"]\n',
        "own.io_5000_": '[host."https://a"]\n[host."https://b/v2/x"]\noverride_path = true\n',
        "_default": '[host."https://all"]\n',
        "alone.io": 'server = "https://alone.io"\n',
        "broken.io": "[host\n",
        "certificates.io": None,
    }
    for name, text in files.items():
        (tmp_path / name).mkdir()
        if text is not None:
            (tmp_path / name / "hosts.toml").write_text(text)
    settings = ImageSection(certs_dir=tmp_path, registry_mirrors=("https://hub.mirror",))
    found = info(settings, tmp_path, ["overlay"])
    assert {each.domain: list(each.mirrors) for each in found.mirrored_registries} == {
        "_default": ["https://all"],
        "docker.io": ["https://hub.mirror", "http://cache:5000/hub"],
        "own.io:5000": ["https://a", "https://b/v2/x"],
    }
    assert found.registry_mirrors == ["https://hub.mirror", "http://cache:5000/hub"]
    [warning] = found.warnings
    assert warning.startswith(f"WARNING: {tmp_path}/broken.io/hosts.toml cannot be read")
    (tmp_path / "broken.io" / "hosts.toml").unlink()
    assert not info(settings, tmp_path, ["overlay"]).warnings
