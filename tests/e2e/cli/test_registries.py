"""`login`, `logout`, `push` and `search` with real registries; what was pushed, other engines run."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cli.support import shown, terminal
from tests.support.content import Content
from tests.support.engine import BIN, Engine, as_root
from tests.support.peers import Docker, Net, Podman
from tests.support.registry import Registry

pytestmark = as_root()


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """A registry that wants a password."""
    with Registry(users={"me": "secret"}) as running:
        yield running


@pytest.fixture
def name(engine: Engine, registry: Registry) -> Iterator[str]:
    """A repository that an image is tagged with."""
    repository = f"{registry.address}/team/app"
    engine.cli("tag", "busybox", f"{repository}:1")
    engine.cli("tag", "busybox", repository)
    yield repository
    engine.cli("rmi", f"{repository}:1", repository)
    engine.cli("logout", registry.address)


def _login(
    engine: Engine, *arguments: str, word: str = "secret"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "scow", "login", *arguments],
        env=engine.env,
        input=f"{word}\n",
        capture_output=True,
        text=True,
        check=False,
    )


def test_login_push_logout(engine: Engine, registry: Registry, name: str) -> None:
    refused = engine.cli("push", f"{name}:1", check=False)
    assert refused.returncode == 1
    assert "wants credentials" in refused.stderr
    wrong = _login(engine, "-u", "me", "--password-stdin", registry.address, word="wrong")
    assert wrong.returncode == 1
    assert "refused the credentials" in wrong.stderr
    done = _login(engine, "-u", "me", "--password-stdin", registry.address)
    assert (done.returncode, done.stdout) == (0, "Login Succeeded\n")
    file = Path(engine.env["SCOW_CLIENT_DIR"]) / "config.json"
    assert f"stored unencrypted in {file}" in done.stderr
    lines = engine.cli("push", f"{name}:1").stdout.splitlines()
    assert lines[0] == f"The push refers to repository [{name}]"
    assert len(lines) == 3
    assert lines[1].endswith(": Pushed")
    digest = lines[-1].split()[2]
    assert lines[-1].startswith("1: digest: sha256:")
    assert f"{name}@{digest}" in shown(engine, f"{name}:1")["RepoDigests"]
    again = engine.cli("push", name).stdout.splitlines()
    assert again[0] == "Using default tag: latest"
    assert again[2].endswith(": Layer already exists")
    assert again[-1].startswith(f"latest: digest: {digest} size: ")
    quiet = engine.cli("push", "-q", "--all-tags", name).stdout
    assert quiet == f"{name}\n"
    assert engine.cli("pull", "-q", "-a", name).stdout == f"{name}\n"
    refused = engine.cli("push", "--disable-content-trust=false", name, check=False)
    assert (refused.returncode, "trust_policy" in refused.stderr) == (1, True)
    assert engine.cli("push", "-a", f"{name}:1", check=False).returncode == 1
    assert engine.cli("pull", "-q", f"{name}:1").stdout == f"{name}:1\n"
    known = _login(engine, registry.address)
    assert "Authenticating with existing credentials" in known.stderr
    removed = engine.cli("logout", registry.address).stdout
    assert removed == f"Removing login credentials for {registry.address}\n"
    assert engine.cli("logout", registry.address).stdout == f"Not logged in to {registry.address}\n"
    assert engine.cli("pull", f"{name}:1", check=False).returncode == 1


def test_login_on_a_terminal(engine: Engine, registry: Registry) -> None:
    with terminal(engine, "login", registry.address) as screen:
        screen.wait_for(b"Username: ")
        screen.type(b"me\n")
        screen.wait_for(b"Password: ")
        screen.type(b"secret\n")
        screen.wait_for(b"Login Succeeded")
        assert screen.ended() == 0
    engine.cli("logout", registry.address)
    done = _login(engine, registry.address)
    assert "non TTY" in done.stderr
    done = _login(engine, "-u", "me", "-p", "secret", registry.address)
    assert "WARNING! Using --password via the CLI is insecure" in done.stderr
    assert done.returncode == 0
    engine.cli("logout", registry.address)
    for flags in (["--password-stdin"], ["-p", "x", "--password-stdin", "-u", "me"]):
        assert _login(engine, *flags, registry.address).returncode == 1


def test_search(engine: Engine, registry: Registry, name: str) -> None:
    _login(engine, "-u", "me", "--password-stdin", registry.address)
    engine.cli("push", "-q", name)
    table = engine.cli("search", f"{registry.address}/app").stdout.splitlines()
    assert table[0].split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    assert table[1].split() == [name, "0"]
    only = engine.cli("search", "--format", "{{.Name}} {{.StarCount}}", f"{registry.address}/app")
    assert only.stdout == f"{name} 0\n"
    nothing = engine.cli("search", "--filter", "stars=1", "--limit", "5", f"{registry.address}/")
    assert len(nothing.stdout.splitlines()) == 1


def test_a_push_on_a_terminal_is_redrawn(engine: Engine, registry: Registry, name: str) -> None:
    _login(engine, "-u", "me", "--password-stdin", registry.address)
    with terminal(engine, "push", f"{name}:1") as screen:
        screen.wait_for(b"The push refers to repository")
        screen.wait_for(b"\x1b[2K")
        screen.wait_for(b"1: digest: sha256:")
        assert screen.ended() == 0


def test_other_engines_run_what_was_pushed(engine: Engine) -> None:
    net = Net()
    try:
        with Registry(prefix=net.prefix) as registry:
            # The engine is not in the network namespace of the others: the storage is what they share.
            with Registry(storage=registry.storage) as ours:
                engine.cli("tag", "busybox", f"{ours.address}/app:1")
                engine.cli("push", f"{ours.address}/app:1")
                engine.cli("rmi", f"{ours.address}/app:1")
            with Docker(net, insecure=[registry.address]) as docker:
                ran = docker.cli(
                    "run", "--rm", "--net=none", f"{registry.address}/app:1", "echo", "a"
                )
                assert ran.splitlines()[-1] == "a"
            with Podman(net, insecure=[registry.address]) as podman:
                podman.cli("pull", "-q", f"{registry.address}/app:1")
                ran = podman.cli(
                    "run", "--rm", "--net=none", f"{registry.address}/app:1", "echo", "b"
                )
                assert ran.splitlines()[-1] == "b"
    finally:
        net.close()


def test_of_a_pulled_index_this_machine_s_image_is_pushed(engine: Engine) -> None:
    with Registry() as registry:
        content = Content(registry, "several")
        entries = [content.image(arch, {"file": arch.encode()}) for arch in ("amd64", "arm64")]
        content.index(entries, "1")
        source, target = f"{content.repository}:1", f"{registry.address}/one:1"
        docker_s = Path(engine.env["DOCKER_CONFIG"]) / "config.json"
        docker_s.parent.mkdir()
        docker_s.write_text('{"credsStore": "not-here"}')
        warned = engine.cli("pull", "-q", source)
        assert "WARNING: the program docker-credential-not-here failed" in warned.stderr
        docker_s.unlink()
        engine.cli("tag", source, target)
        done = engine.cli("push", target)
        assert "only its image for linux/amd64 is pushed" in done.stderr
        assert done.stdout.splitlines()[-1].startswith(f"1: digest: {entries[0]['digest']} size: ")
        assert registry.digest("one", "1") == entries[0]["digest"]
        refused = engine.cli("push", "--platform", "linux/arm64", target, check=False)
        assert refused.returncode == 1
        assert str(entries[1]["digest"]) in refused.stderr
        engine.cli("rmi", "-f", source, target)
