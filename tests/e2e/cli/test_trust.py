"""What a user sees of the trust policy."""

from __future__ import annotations

import pytest

from tests.support.busybox import rootfs_tar
from tests.support.content import Content
from tests.support.engine import Engine, as_root
from tests.support.registry import Registry
from tests.support.signing import new_key, public_pem, sign_by_tag

pytestmark = as_root()


def _demand(engine: Engine, repository: str, key: str) -> None:
    engine.policy.write_text(
        f"default = 'accept'\n[repositories.'{repository}']\npolicy = 'signed'\nkeys = ['''{key}''']\n"
    )


def test_signed_images_alone_are_pulled_and_run(engine: Engine) -> None:
    with Registry() as registry:
        content = Content(registry, "app")
        entry = content.image("amd64", rootfs_tar(), tag="1", cmd="/bin/true")
        name = f"{content.repository}:1"
        key, other = new_key(), new_key()
        _demand(engine, content.repository, public_pem(key))
        for verb in (("pull",), ("run", "--rm")):
            done = engine.cli(*verb, name, check=False)
            assert done.returncode == (125 if verb[0] == "run" else 1)
            assert "is not trusted: there is no signature" in done.stderr
            assert str(engine.policy) in done.stderr
        assert engine.cli("images", "-q", content.repository).stdout == ""
        sign_by_tag(content, key, entry["digest"])
        engine.cli("run", "--rm", name)
    engine.cli("run", "--rm", name)  # no registry is needed any more
    _demand(engine, content.repository, public_pem(other))
    done = engine.cli("run", "--rm", name, check=False)
    assert done.returncode == 125
    assert "is by none of the keys" in done.stderr
    engine.cli("rmi", name)


@pytest.mark.parametrize("verb", [("run", "--rm"), ("create",), ("pull",)])
def test_with_a_broken_policy_nothing_goes(engine: Engine, verb: tuple[str, ...]) -> None:
    engine.policy.write_text("default = 'accept'\n\ntrust everybody\n")
    done = engine.cli(*verb, "busybox", check=False)
    assert done.returncode == (125 if verb[0] == "run" else 1)
    assert f"the trust policy {engine.policy} is not TOML" in done.stderr
    assert "line 3" in done.stderr
