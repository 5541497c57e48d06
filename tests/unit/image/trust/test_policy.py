"""The policy file: which rule counts, and what is wrong in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scow.contract.errors import InvalidTrustPolicy
from scow.image.trust import policy
from tests.support.signing import new_key, public_pem

KEY = public_pem(new_key())
SIGNED = f"policy = 'signed'\nkeys = ['''{KEY}''']\n"


def load(folder: Path, text: str) -> policy.Policy:
    file = folder / "policy.toml"
    file.write_text(text)
    return policy.load(file)


def test_the_longest_pattern_wins(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        """
        default = "reject"
        [repositories]
        "docker.io/*" = "accept"
        "index.docker.io/hub/*" = "reject"
        "docker.io/library/*" = "reject"
        nginx = "accept"
        "registry.example:5000/*" = "accept"
        "registry.example:5000/team/*" = "reject"
        """,
    )
    for repository, wanted in {
        "docker.io/someone/app": "accept",
        "docker.io/library/redis": "reject",
        "docker.io/hub/x": "reject",
        "docker.io/library/nginx": "accept",
        "registry.example:5000/app": "accept",
        "registry.example:5000/team": "accept",
        "registry.example:5000/team/app": "reject",
        "registry.example:5000/team/app/deeper": "reject",
        "registry.example:5000/teammate/app": "accept",
        "registry.example/app": "reject",
        "evil.example/docker.io/library/nginx": "reject",
    }.items():
        assert loaded.rule(repository).policy == wanted, repository


def test_without_a_file_at_the_default_place_all_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "DEFAULT_FILE", tmp_path / "none.toml")
    assert policy.load(tmp_path / "none.toml").rule("docker.io/a").policy == "accept"
    with pytest.raises(InvalidTrustPolicy, match="does not exist"):
        policy.load(tmp_path / "other.toml")


def test_keys_inline_and_by_path(tmp_path: Path) -> None:
    (tmp_path / "team.pub").write_text(KEY)
    loaded = load(
        tmp_path,
        f"default = 'reject'\n[repositories.'r.example/a']\npolicy = 'signed'\n"
        f"keys = ['team.pub', '{tmp_path}/team.pub', '''{KEY}''']\n",
    )
    assert len(loaded.rule("r.example/a").keys) == 3


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "default"),
        ("default = accept", "line 1"),
        ("default = 'sometimes'", "default.policy"),
        ("default = 1", "default"),
        ("default = 'signed'", "default.keys"),
        ("default = 'accept'\nrules = 1", "rules"),
        ("default = 'accept'\nrepositories = 1", "repositories"),
        ("default = 'accept'\n[repositories]\n'a/b:1' = 'accept'", 'repositories."a/b:1"'),
        ("default = 'accept'\n[repositories]\n'team/*' = 'accept'", 'repositories."team/*"'),
        ("default = 'accept'\n[repositories]\n'*' = 'accept'", 'repositories."*"'),
        ("default = 'accept'\n[repositories]\n'A/*' = 'no'", 'repositories."A/*".policy'),
        ("default = 'accept'\n[repositories]\n'r.io/UP' = 'accept'", 'repositories."r.io/UP"'),
        (
            "default = 'accept'\n[repositories]\nnginx = 'accept'\n'docker.io/nginx' = 'reject'",
            'repositories."docker.io/nginx"',
        ),
        (
            "default = 'accept'\n[repositories.nginx]\npolicy = 'accept'\nkeys = ['x']",
            'repositories."nginx".keys',
        ),
        (
            "default = 'accept'\n[repositories.nginx]\npolicy = 'signed'\nkeys = ['none.pub']",
            'repositories."nginx".keys[0]',
        ),
        (
            "default = 'accept'\n[repositories.nginx]\npolicy = 'signed'\nkeys = [3]",
            'repositories."nginx".keys[0]',
        ),
        (
            "default = 'accept'\n[repositories.nginx]\npolicy = 'accept'\nkey = 'x'",
            'repositories."nginx".key',
        ),
        (
            "default = 'accept'\n[repositories.nginx]\npolicy = 'signed'\nkeys = ['-----BEGIN x']",
            'repositories."nginx".keys[0]',
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(InvalidTrustPolicy) as caught:
        load(tmp_path, text)
    assert str(tmp_path / "policy.toml") in str(caught.value)
    assert place in caught.value.message


def test_no_text_and_no_permission(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidTrustPolicy, match="cannot be read"):
        policy.load(tmp_path / "policy.toml")
    with pytest.raises(InvalidTrustPolicy, match="cannot be read"):
        policy.load(tmp_path)


def test_who_demands_no_signatures_loads_no_cryptography(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text("default = 'accept'\n[repositories]\nnginx = 'reject'\n")
    code = (
        "import sys, pathlib, scow.image.__main__; from scow.image.trust import policy;"
        f"policy.load(pathlib.Path({str(file)!r})); assert 'cryptography' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
