"""The commands in README and guide do what they say: each page's `sh` and `python` blocks are run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.build import policy as build_policy
from scow.core import config
from scow.image.registry_client import hosts_toml
from scow.image.registry_client.hosts import Hosts
from scow.image.trust import policy
from tests.support.engine import BIN, PROJECT, Engine
from tests.support.registry import Registry
from tests.support.signing import new_key, public_pem

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs/guide").glob("*.md"))]
_TOML = re.compile(r"^```toml\n# /etc/scow/(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def registry() -> Iterator[dict[str, str]]:
    """What pages call $REGISTRY, with its user."""
    with Registry(users={"me": "secret"}) as running:
        yield {
            "REGISTRY": running.address,
            "REGISTRY_USER": "me",
            "REGISTRY_PASSWORD": "secret",
        }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path, engine: Engine, registry: dict[str, str], tmp_path: Path) -> None:
    blocks = _BLOCK.findall(page.read_text())
    assert blocks, f"{page} shows no commands"
    engine.plugins.mkdir(exist_ok=True)
    engine.cdi.mkdir(exist_ok=True)
    own = {
        **registry,
        "POLICY": str(engine.policy),
        "PLUGINS": str(engine.plugins),
        "CDI": str(engine.cdi),
        "SOURCES": str(engine.sources),
    }
    environment = {**engine.env, **own, "PATH": f"{BIN}:{engine.env.get('PATH', '')}"}
    for language, code in blocks:
        shell = ["bash", "-euo", "pipefail", "-x", "-c", code]
        command = shell if language == "sh" else [sys.executable, "-c", code]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, (
            f"in {page.name}:\n{code}\n{done.stdout}{done.stderr}\n{engine.read_log()}"
        )
    assert engine.cli("ps", "-aq").stdout == "", f"{page.name} leaves containers"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```toml" in page.read_text()], ids=lambda page: page.stem
)
def test_configuration_is_one(page: Path, tmp_path: Path) -> None:
    found = _TOML.findall(page.read_text())
    assert len(found) == page.read_text().count("```toml"), "a block says which file it is"
    for name, text in found:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if name == "scow.toml":
            Hosts(config.load(file, {}).image)
        elif name == "policy.toml":
            (tmp_path / "team.pub").write_text(public_pem(new_key()))
            assert policy.load(file).rules
        elif name == "sources.toml":
            assert build_policy.load(file).rules
        else:
            assert hosts_toml.read(tmp_path / "certs.d", file.parent.name)[0]


def test_every_page_is_found_from_the_readme() -> None:
    text = (PROJECT / "README.md").read_text()
    assert [page.name for page in PAGES[1:] if f"(docs/guide/{page.name})" not in text] == []


def test_links_lead_somewhere() -> None:
    for page in [*PAGES, *PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page} links to {target}, which is not there"
