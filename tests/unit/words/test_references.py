"""References of images."""

from __future__ import annotations

import pytest

from scow.words.references import familiar, parted, with_tag


@pytest.mark.parametrize(
    ("reference", "name", "tag"),
    [
        ("nginx", "nginx", ""),
        ("nginx:1", "nginx", "1"),
        ("localhost:5000/x", "localhost:5000/x", ""),
        ("localhost:5000/x:2", "localhost:5000/x", "2"),
        ("localhost:5000/x:2@sha256:d", "localhost:5000/x", "2"),
        ("nginx@sha256:d", "nginx", ""),
    ],
)
def test_parted(reference: str, name: str, tag: str) -> None:
    assert parted(reference) == (name, tag)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("nginx", "nginx:latest"),
        ("nginx:1", "nginx:1"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("nginx@sha256:d", "nginx@sha256:d"),
    ],
)
def test_with_tag(reference: str, expected: str) -> None:
    assert with_tag(reference) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("docker.io/library/nginx:1", "nginx:1"),
        ("docker.io/me/web:1", "me/web:1"),
        ("quay.io/library/x:1", "quay.io/library/x:1"),
    ],
)
def test_familiar(reference: str, expected: str) -> None:
    assert familiar(reference) == expected
