"""The commands in README and guide do what they say: each page's `sh` and `python` blocks are run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.engine import BIN, PROJECT, Engine

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs/guide").glob("*.md"))]
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path, engine: Engine, tmp_path: Path) -> None:
    blocks = _BLOCK.findall(page.read_text())
    assert blocks, f"{page} shows no commands"
    environment = {**engine.env, "PATH": f"{BIN}:{engine.env.get('PATH', '')}"}
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


def test_links_lead_somewhere() -> None:
    for page in [*PAGES, *PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page} links to {target}, which is not there"
