"""The source policy."""

from __future__ import annotations

from pathlib import Path

import pytest

from scow.build import policy
from scow.build.policy import SourcePolicy, normal_git, normal_url
from scow.contract.errors import InvalidSourcePolicy, SourceDenied

TEXT = """
default = "reject"
[images]
"docker.io/library/*" = "accept"
"docker.io/library/debian" = "pinned"
"registry.example.com/*" = "pinned"
alpine = "reject"
[urls]
"https://files.example.com/pub/*" = "accept"
"https://files.example.com/pub/mirror/*" = "pinned"
[git]
"github.com/example/*" = "accept"
"https://github.com/example/secret.git" = "reject"
"""
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def loaded(tmp_path: Path) -> SourcePolicy:
    (tmp_path / "sources.toml").write_text(TEXT)
    return policy.load(tmp_path / "sources.toml")


@pytest.mark.parametrize(
    ("reference", "is_allowed"),
    [
        ("busybox", True),
        ("index.docker.io/library/busybox:1", True),
        ("debian:12", False),
        (f"debian@{DIGEST}", True),
        (f"debian:12@{DIGEST}", True),
        ("alpine", False),
        ("someone/busybox", False),
        ("registry.example.com/a/b:1", False),
        (f"registry.example.com/a/b@{DIGEST}", True),
        ("registry.example.com:5000/a", False),
    ],
)
def test_images(loaded: SourcePolicy, reference: str, is_allowed: bool) -> None:
    check(lambda: loaded.check_image(reference), is_allowed)


@pytest.mark.parametrize("kind", ["url", "git"])
def test_no_refusal_has_a_password(loaded: SourcePolicy, kind: str) -> None:
    refuse = loaded.check_url if kind == "url" else loaded.check_git
    with pytest.raises(SourceDenied) as caught:
        refuse("https://user:t0ken@elsewhere.example/x.git?t=t0ken#main")
    assert "t0ken" not in f"{caught.value} {caught.value.metadata}"


def check(call: object, is_allowed: bool) -> None:
    assert callable(call)
    if is_allowed:
        call()
        return
    with pytest.raises(SourceDenied) as caught:
        call()
    assert caught.value.metadata["rule"]


@pytest.mark.parametrize(
    ("url", "checksum", "is_allowed"),
    [
        ("https://files.example.com/pub/a", "", True),
        ("HTTPS://user:pw@FILES.example.com:443/pub/a?token=x", "", True),
        ("http://files.example.com/pub/a", "", False),
        ("https://files.example.com:8443/pub/a", "", False),
        ("https://files.example.com/pub/../private", "", False),
        ("https://files.example.com/pub/%2e%2e/private", "", False),
        ("https://files.example.com/pub/..\\private", "", False),
        ("https://files.example.com/public", "", False),
        ("https://files.example.com.evil/pub/a", "", False),
        ("https://files.example.com/pub/mirror/a", "", False),
        ("https://files.example.com/pub/mirror/a", DIGEST, True),
        ("https://files.example.com:x/pub/a", "", False),
    ],
)
def test_urls(loaded: SourcePolicy, url: str, checksum: str, is_allowed: bool) -> None:
    check(lambda: loaded.check_url(url, checksum=checksum), is_allowed)


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("https://github.com/example/app.git#v1:sub", True),
        ("git@github.com:example/app.git", True),
        ("ssh://git@github.com/example/app", True),
        ("git@github.com:example/secret", False),
        ("https://github.com/example/x/../secret.git", False),
        ("https://github.com/other/app.git", False),
        ("https://github.com:8443/example/app.git", False),
    ],
)
def test_git(loaded: SourcePolicy, url: str, is_allowed: bool) -> None:
    check(lambda: loaded.check_git(url), is_allowed)


def test_a_commit_pins_a_repository() -> None:
    found = SourcePolicy("pinned")
    found.check_git("https://x/y.git#" + "a" * 40)
    with pytest.raises(SourceDenied) as caught:
        found.check_git("https://x/y.git#main")
    assert str(caught.value) == (
        "the source policy allows the git repository 'x/y' only with its digest: "
        "ask who administers the engine: the rule is default"
    )


def test_without_a_file_everything_is_accepted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(policy, "DEFAULT_FILE", tmp_path / "none")
    policy.load(tmp_path / "none").check_image("anything")
    with pytest.raises(InvalidSourcePolicy, match="does not exist"):
        policy.load(tmp_path / "other")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "default is missing"),
        ("default = 'maybe'", "default is 'maybe'"),
        ("default = 'accept'\nother = 1", "other is unknown"),
        ("default = 'accept'\nimages = 1", "images is not a table"),
        ("default = 'accept'\n[images]\n'a*' = 'accept'", "is not a pattern"),
        (
            "default = 'accept'\n[images]\na = 'accept'\n'docker.io/library/a' = 'reject'",
            "there twice",
        ),
        ("default = ", "is not TOML"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "p").write_text(text)
    with pytest.raises(InvalidSourcePolicy) as caught:
        policy.load(tmp_path / "p")
    assert why in str(caught.value)


def test_normal_forms() -> None:
    assert normal_url("HTTPS://u@H:443/a//b/./c?x#y") == "https://h/a/b/c"
    assert normal_git("git@H:a/b.git#ref") == normal_git("https://h/a/b") == "h/a/b"
