"""`build --on-error shell`: a shell in what a failed step left."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.engine import BIN, Engine
from tests.support.terminal import Terminal

DOCKERFILE = """FROM busybox
ARG WHO=me
WORKDIR /work
RUN --mount=type=secret,id=s,env=S echo "left by $WHO" > here; exit 3
"""


def test_a_shell_on_a_terminal(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    before = engine.cli("images", "-q").stdout
    command = [str(BIN / "scow"), "build", "--progress=plain", "--on-error", "shell", str(tmp_path)]
    with Terminal(command, engine.env) as terminal:
        terminal.wait_for(b"a shell in what the step left")
        terminal.wait_for(b"# ")
        terminal.type(b'cat here; pwd; echo "as $WHO"; exit\n')
        shown = terminal.text_before(b"as me")
        assert b"left by me" in shown
        assert b"/work" in shown
        assert terminal.process.wait(30) == 1
    assert engine.cli("images", "-q").stdout == before


def test_without_a_terminal(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "secret").write_text("hidden-in-the-shell")
    flags = ("--secret", f"id=s,src={tmp_path}/secret", "--on-error=shell")
    done = engine.cli("build", *flags, str(tmp_path), check=False)
    assert done.returncode == 1
    found = re.search(r"scow run -it --rm (sha256:[0-9a-f]+)", done.stderr)
    assert found, done.stderr
    image = found[1]
    shown = engine.cli("run", "--rm", image, "sh", "-c", "cat here; env").stdout
    assert "left by me" in shown
    assert "hidden" not in shown
    engine.cli("rmi", image)
    plain = engine.cli("build", str(tmp_path), check=False)
    assert "scow run" not in plain.stderr
