"""The default profile of AppArmor, where it is loaded and where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from scow.contract.errors import KernelUnsupported
from scow.shim.confine import apparmor

DEFAULT = "scow-default"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with AppArmor, whose parser writes down what it is given."""
    profiles, parser = tmp_path / "profiles", tmp_path / "parser"
    profiles.write_text("other (enforce)\n")
    parser.write_text(f"#!/bin/sh\nexec cat > {tmp_path}/given\n")
    parser.chmod(0o755)
    monkeypatch.setattr(apparmor, "_LOADED", str(profiles))
    monkeypatch.setattr(apparmor, "apparmor_parser", lambda: str(parser))
    return tmp_path


def test_it_is_loaded_once(host: Path) -> None:
    apparmor.ensure(DEFAULT)
    text = (host / "given").read_text()
    assert f"profile {DEFAULT} " in text
    assert text.count("{") == text.count("}")
    (host / "given").unlink()
    (host / "profiles").write_text(f"other (enforce)\n{DEFAULT} (enforce)\n")
    apparmor.ensure(DEFAULT)
    assert not (host / "given").exists()


def test_others_are_not_ours_to_load(host: Path) -> None:
    apparmor.ensure("mine")
    apparmor.ensure("")
    assert not (host / "given").exists()


def test_a_container_does_not_start_without_it(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (host / "parser").write_text("#!/bin/sh\necho bad syntax >&2; exit 1\n")
    with pytest.raises(KernelUnsupported, match="cannot be loaded: bad syntax") as refused:
        apparmor.ensure(DEFAULT)
    assert refused.value.which == DEFAULT
    monkeypatch.setattr(apparmor, "apparmor_parser", lambda: "")
    with pytest.raises(KernelUnsupported, match="not installed"):
        apparmor.ensure(DEFAULT)
