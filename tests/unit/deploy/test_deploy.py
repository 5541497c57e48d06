"""What is deployed agrees with the code."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.core.config import SERVICES, Config, RegistrySection, load

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())


def test_the_example_configuration_has_the_defaults() -> None:
    assert load(DEPLOY / "scow.toml", environ={}) == Config()


def test_the_example_configuration_has_all_keys() -> None:
    section, found = "", set()
    for line in (DEPLOY / "scow.toml").read_text().splitlines():
        if match := re.fullmatch(r"(?:# )?\[(\S+)\]", line):
            section = f"{match[1]}."
        elif match := re.match(r"(?:# )?(\w+) = ", line):
            found.add(section + match[1])
    one = 'image.registries."registry.example:5000".'
    assert found == {*keys(Config), *keys(RegistrySection, one)} - {"image.registries"}


def keys(section: type, prefix: str = "") -> Iterator[str]:
    """Yield the names of all keys of a section and of those in it."""
    for name, kind in typing.get_type_hints(section).items():
        if dataclasses.is_dataclass(kind):
            assert isinstance(kind, type)
            yield from keys(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_every_service_has_its_unit() -> None:
    names = {unit.name for unit in UNITS}
    assert {f"scow-{service}.service" for service in SERVICES} <= names


def test_the_image_service_administrates_nothing() -> None:
    """It parses what strangers wrote."""
    text = (DEPLOY / "systemd/scow-image.service").read_text()
    assert "CAP_SYS_ADMIN" not in text
    assert "CAP_NET_ADMIN" not in text


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_the_unit(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    # It is verified where it is not installed.
    complaints = [
        line for line in done.stderr.splitlines() if unit.name in line and "executable" not in line
    ]
    assert not complaints
