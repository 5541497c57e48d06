"""Platforms in canonical form, and which run on which."""

from __future__ import annotations

import pytest

from scow.image.oci.platforms import Platform, canonical, choose, runnable


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (("linux", "x86_64"), "linux/amd64"),
        (("Linux", "AMD64", "v1"), "linux/amd64"),
        (("linux", "aarch64", "8"), "linux/arm64"),
        (("linux", "arm"), "linux/arm/v7"),
        (("linux", "armel"), "linux/arm/v6"),
        (("linux", "amd64", "v3"), "linux/amd64/v3"),
    ],
)
def test_canonical(given: tuple[str, ...], shown: str) -> None:
    assert str(canonical(*given)) == shown


@pytest.mark.parametrize(
    ("image", "machine", "runs"),
    [
        ("amd64", "amd64", True),
        ("386", "amd64", True),
        ("amd64", "386", False),
        ("arm64", "amd64", False),
        ("arm", "arm64", True),
    ],
)
def test_runnable(image: str, machine: str, runs: bool) -> None:
    assert runnable(canonical("linux", image), canonical("linux", machine)) is runs


def test_the_closest_lower_variant_is_chosen() -> None:
    arms = [Platform("linux", "arm", f"v{number}") for number in (5, 6)]
    assert choose(arms, Platform("linux", "arm", "v7")) == 1
    assert choose(arms, Platform("linux", "amd64")) is None


@pytest.mark.parametrize(
    "variant", ["v99999999999999", "v" + "9" * 5000, "v\u00b2", "v-1", "x", "v8.2"]
)
@pytest.mark.parametrize("architecture", ["arm", "arm64", "amd64"])
def test_variants_that_nobody_has(architecture: str, variant: str) -> None:
    """Callers may write anything: it is compared, not counted down from."""
    wanted = Platform("linux", architecture, variant)
    assert choose([Platform("plan9", "x")], wanted) is None
    assert choose([wanted], wanted) == 0
