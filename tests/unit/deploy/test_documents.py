"""What the documents for developers say of the tree is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[3]
_ARCHITECTURE = (_ROOT / "docs/architecture.md").read_text()
_NUMBERS = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def _rooms(service: str) -> set[str]:
    """Return what stands in the first column of the table in a service's section."""
    section = _ARCHITECTURE.split(f"## The {service} service\n")[1].split("\n## ")[0]
    firsts = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    return {name for first in firsts for name in re.findall(r"`([^`]+)`", first)}


@pytest.mark.parametrize("service", ["container", "image", "build", "volume", "network"])
def test_rooms_of_a_service(service: str) -> None:
    folder = _ROOT / "services/scow" / service
    named = _rooms(service) - {"overlay", "erofs"}
    assert [name for name in named if not (folder / name).exists()] == []
    rooms = {f"{each.parent.name}/" for each in folder.glob("*/__init__.py")}
    assert rooms - named == set()


@pytest.mark.parametrize(
    ("service", "wiring"), [("container", "__main__.py"), ("image", "__main__.py")]
)
def test_grpc_services_of_a_service(service: str, wiring: str) -> None:
    code = (_ROOT / "services/scow" / service / wiring).read_text()
    served = set(re.findall(r"import add_(\w+)Servicer_to_server", code))
    section = _ARCHITECTURE.split(f"## The {service} service\n")[1]
    match = re.search(r"serves (\w+) gRPC services \((.*?)\)", section, re.DOTALL)
    assert match is not None
    assert set(re.findall(r"`(\w+)`", match[2])) == served
    assert match[1] == _NUMBERS[len(served)]


def test_where_is_what() -> None:
    text = (_ROOT / "CONTRIBUTING.md").read_text()
    table = text.split("### Where is what\n")[1].split("\n## ")[0]
    paths = re.findall(r"`([a-z]+/scow/[^`]+)`", table)
    assert len(paths) > 30
    assert [path for path in paths if not (_ROOT / path).exists()] == []
