"""Rules, names, and what tokens say."""

from __future__ import annotations

import pytest

from scow.image.registry_server.auth.access import DELETE, PULL, PUSH, Access, default_rules
from scow.image.registry_server.auth.tokens import Grant, Tokens, parse_scopes
from scow.image.registry_server.http.errors import Refusal
from scow.image.registry_server.names import Naming, domain_of

RULES = Access(
    [
        "* r.example/* pull",
        "alice r.example/team/* push",
        "root * delete",
        "anonymous docker.io/library/* pull",
    ]
)


@pytest.mark.parametrize(
    ("user", "repository", "actions"),
    [
        ("bob", "r.example/team/app", {PULL}),
        ("alice", "r.example/team/app", {PULL, PUSH}),
        ("alice", "r.example/other", {PULL}),
        ("root", "x.example/y", {PULL, PUSH, DELETE}),
        ("", "r.example/team/app", set()),
        ("", "docker.io/library/nginx", {PULL}),
        ("bob", "docker.io/library/nginx", {PULL}),
        ("bob", "docker.io/other/nginx", set()),
        ("*", "x.example/y", set()),
        ("anonymous", "r.example/team/app", {PULL}),
    ],
)
def test_rules(user: str, repository: str, actions: set[str]) -> None:
    assert RULES.actions(user, repository) == actions


NAMING = Naming("docker.io")


@pytest.mark.parametrize(
    ("name", "namespace", "repository"),
    [
        ("nginx", "", "docker.io/library/nginx"),
        ("library/nginx", "", "docker.io/library/nginx"),
        ("team/app", "", "docker.io/team/app"),
        ("r.example/app", "", "r.example/app"),
        ("r.example", "", "docker.io/library/r.example"),
        ("localhost/app", "", "localhost/app"),
        ("team/app", "r.example:5000", "r.example:5000/team/app"),
        ("r.example/app", "docker.io", "docker.io/r.example/app"),
        ("nginx", "index.docker.io", "docker.io/library/nginx"),
        ("a/b/c/d/e", "[::1]:5000", "[::1]:5000/a/b/c/d/e"),
    ],
)
def test_names(name: str, namespace: str, repository: str) -> None:
    assert NAMING.repository(name, namespace) == repository
    back = NAMING.name(repository, domain_of(namespace))
    assert NAMING.repository(back, namespace) == repository


@pytest.mark.parametrize(
    ("name", "namespace"),
    [
        ("", ""), ("/", ""), ("a/", ""), ("/a", ""), ("a//b", ""), ("A", ""), ("a:1", ""),
        ("a@b", ""), ("../a", ""), ("a/..", ""), ("a b", ""), ("ä", ""), ("a" * 256, ""),
        ("a", "host"), ("a", "a/b"), ("a", "x.example/y"), ("a", "-"), ("a", "x.example:99999999"),
        ("0" * 64, "r.example@"),
    ],
)  # fmt: skip
def test_bad_names(name: str, namespace: str) -> None:
    with pytest.raises(Refusal) as caught:
        NAMING.repository(name, namespace)
    assert (caught.value.code, caught.value.status) == ("NAME_INVALID", 400)


def test_a_name_that_only_a_namespace_reaches() -> None:
    assert NAMING.name("localhost:5000/app") == ""
    assert NAMING.name("docker.io/r.example/app") == "docker.io/r.example/app"
    assert Naming("localhost:5000").name("localhost:5000/app") == "app"


def test_scopes() -> None:
    found = parse_scopes(
        [
            "repository:team/app:pull,push repository:localhost:5000/x:pull",
            "repository:docker.io/team/app:*",
            "registry:catalog:*",
            "repository::pull",
            "nonsense",
            "repository:nginx:fly",
        ],
        NAMING.scoped,
    )
    assert found == {
        "docker.io/team/app": {PULL, PUSH, DELETE},
        "localhost:5000/x": {PULL},
        "docker.io/library/nginx": set(),
    }
    with pytest.raises(Refusal):
        parse_scopes(["repository:A:pull"], NAMING.scoped)
    with pytest.raises(Refusal):
        parse_scopes(["repository:a:pull"] * 65, NAMING.scoped)


def test_tokens() -> None:
    tokens = Tokens(60)
    grant = Grant("me", {"docker.io/library/nginx": frozenset({PULL})})
    token = tokens.sign(grant)
    assert tokens.read(token) == grant
    head, body, signature = token.split(".")
    assert tokens.read(f"{head}.{body[:-2]}.{signature}") is None
    assert tokens.read(f"{head}.{body}.") is None
    assert tokens.read("") is None
    assert Tokens(60).read(token) is None  # of another process


@pytest.mark.parametrize(
    ("name", "repository", "actions"),
    [
        ("docker.io", "docker.io/library/nginx", {PULL}),
        ("docker.io", "r.example/app", {PULL}),
        ("r.example:5000", "r.example:5000/team/app", {PULL, PUSH, DELETE}),
        ("[::1]:5000", "[::1]:5000/team/app", {PULL, PUSH, DELETE}),
        ("r.example:5000", "docker.io/library/nginx", {PULL}),
        ("r.example:5000", "r.example:50001/app", {PULL}),
    ],
)
def test_without_rules_nobody_writes_under_names_of_others(
    name: str, repository: str, actions: set[str]
) -> None:
    for who, user, other in (("*", "me", ""), ("anonymous", "", None)):
        access = Access(default_rules(name, who))
        assert access.actions(user, repository) == actions
        if other is not None:
            assert not access.actions(other, repository)
