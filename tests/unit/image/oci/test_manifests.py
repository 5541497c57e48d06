import json

import pytest

from scow.api.image.v1.image_pb2 import ImageConfig
from scow.contract.errors import InvalidManifest, LimitExceeded, PlatformNotFound
from scow.image.oci import manifests
from scow.image.oci.manifests import Descriptor
from scow.image.oci.platforms import Platform

D = "sha256:" + "a" * 64
E = "sha256:" + "b" * 64


def index(*platforms: tuple[str, str, str]) -> bytes:
    entries = [
        {
            "digest": "sha256:" + f"{number:x}" * 64,
            "size": 1,
            "platform": {"os": os, "architecture": architecture, "variant": variant},
        }
        for number, (os, architecture, variant) in enumerate(platforms)
    ]
    return json.dumps({"schemaVersion": 2, "manifests": entries}).encode()


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        (Platform("linux", "amd64"), 1),
        (Platform("linux", "arm64"), 3),
        (Platform("linux", "arm", "v7"), 2),
        (Platform("linux", "arm", "v6"), 4),
    ],
)
def test_the_variant_that_fits_best(wanted: Platform, number: int) -> None:
    data = index(
        ("linux", "386", ""),
        ("linux", "amd64", ""),
        ("linux", "arm", "v7"),
        ("linux", "arm64", "v8"),
        ("linux", "arm", "v5"),
        ("unknown", "unknown", ""),
    )
    chosen = manifests.choose_manifest(data, wanted, "x")
    assert chosen.digest == "sha256:" + f"{number:x}" * 64


def test_no_variant_fits() -> None:
    with pytest.raises(PlatformNotFound, match="linux/amd64"):
        manifests.choose_manifest(index(("linux", "amd64", "")), Platform("linux", "s390x"), "x")


@pytest.mark.parametrize(
    "change",
    [
        {"schemaVersion": 1},
        {"layers": None},
        {"layers": [5]},
        {"layers": [{"digest": "md5:1", "size": 1}]},
        {"layers": [{"digest": D, "size": -1}]},
        {"layers": [{"digest": D, "size": True}]},
        {"config": None},
    ],
)
def test_wrong_manifests(change: dict[str, object]) -> None:
    value = {"schemaVersion": 2, "config": {"digest": D, "size": 1}, "layers": [], **change}
    with pytest.raises(InvalidManifest):
        manifests.parse_manifest(json.dumps(value).encode(), 10)


def test_too_many_layers() -> None:
    layers = [{"digest": D, "size": 1}] * 11
    value = {"schemaVersion": 2, "config": {"digest": D, "size": 1}, "layers": layers}
    with pytest.raises(LimitExceeded, match="11 layers"):
        manifests.parse_manifest(json.dumps(value).encode(), 10)


def test_deep_nesting_is_no_manifest() -> None:
    with pytest.raises(InvalidManifest):
        manifests.parse_manifest(b"[" * 100_000, 10)


def test_what_is_made_can_be_read() -> None:
    config = ImageConfig(cmd=["sh"], env=["A=b"], labels={"k": "v"}, volumes=["/data"])
    data = manifests.make_configuration(
        config, Platform("linux", "arm", "v7"), [D], 1_500_000_001, "c"
    )
    read = manifests.parse_configuration(data)
    assert (read.config, read.platform, read.diff_ids) == (
        config,
        Platform("linux", "arm", "v7"),
        (D,),
    )
    assert (read.created_ns, read.comment) == (1_500_000_001, "c")
    made = manifests.make_manifest(Descriptor(D, 3, "x"), [Descriptor(E, 4, "y")])
    assert manifests.parse_manifest(made, 10).layers == (Descriptor(E, 4, "y"),)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("", 0),
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T01:00:00.000000007+01:00", 7),
        ("0001-01-01T00:00:00Z", 0),  # what Go writes for no time; 64 bits do not hold it
        ("9999-12-31T23:59:59Z", 0),
    ],
)
def test_times(text: str, ns: int) -> None:
    assert manifests.parse_time(text) == ns


@pytest.mark.parametrize(
    "value",
    [
        {"rootfs": {"diff_ids": ["x"]}},
        {"rootfs": None},
        {"rootfs": {"diff_ids": []}, "config": {"Env": "A=b"}},
        {"rootfs": {"diff_ids": []}, "created": "yesterday"},
        {"rootfs": {"diff_ids": []}, "config": {"Labels": []}},
        {"rootfs": {"diff_ids": []}, "config": {"User": "half a character: \ud800"}},
        {"rootfs": {"diff_ids": []}, "config": {"Healthcheck": {"Interval": "soon"}}},
        {"rootfs": {"diff_ids": []}, "config": {"Healthcheck": {"Interval": 1 << 70}}},
    ],
)
def test_wrong_configurations(value: dict[str, object]) -> None:
    if value.get("config") == {"Labels": []}:
        manifests.parse_configuration(json.dumps(value).encode())  # empty is empty
        return
    with pytest.raises(InvalidManifest):
        manifests.parse_configuration(json.dumps(value).encode())


def test_a_manifest_that_is_an_index_too() -> None:
    both = json.dumps({"schemaVersion": 2, "manifests": [], "layers": [], "config": {}}).encode()
    with pytest.raises(InvalidManifest):
        manifests.is_index(both, manifests.OCI_INDEX)
