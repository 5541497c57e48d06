import pytest

from scow.contract.errors import InvalidReference
from scow.image.oci.reference import Reference

A = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "whole", "host", "familiar"),
    [
        ("nginx", "docker.io/library/nginx:latest", "registry-1.docker.io", "nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27", "registry-1.docker.io", "nginx:1.27"),
        ("me/app", "docker.io/me/app:latest", "registry-1.docker.io", "me/app:latest"),
        (
            "docker.io/nginx",
            "docker.io/library/nginx:latest",
            "registry-1.docker.io",
            "nginx:latest",
        ),
        (
            "localhost:5000/a",
            "localhost:5000/a:latest",
            "localhost:5000",
            "localhost:5000/a:latest",
        ),
        ("[::1]:5000/a:t", "[::1]:5000/a:t", "[::1]:5000", "[::1]:5000/a:t"),
        (f"ghcr.io/o/a@{A}", f"ghcr.io/o/a@{A}", "ghcr.io", f"ghcr.io/o/a@{A}"),
        (f"a:tag@{A}", f"docker.io/library/a@{A}", "registry-1.docker.io", f"a@{A}"),
    ],
)
def test_completion(text: str, whole: str, host: str, familiar: str) -> None:
    reference = Reference.parse(text)
    assert str(reference) == whole
    assert reference.host == host
    assert reference.familiar == familiar


@pytest.mark.parametrize(
    "text",
    ["", ":", "a:", "a@", "A", "a/B", "a//b", "a/../b", "-a", "a" * 256, "a:b:c", "a:" + "t" * 129, "f" * 64,
     "a@sha256:" + "A" * 64, "a b", "a\n", "http://a/b"],
)  # fmt: skip
def test_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        Reference.parse(text)
