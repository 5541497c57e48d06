"""The kernel's answer to every system call number, under the default profile: what the profile's file says.

`seccomp_probe.c` asks; `Reading` below understands the file independently of the engine.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from scow.container.spec import seccomp
from scow.container.spec.capabilities import DEFAULT, KNOWN
from tests.integration.shim.bundles import config
from tests.integration.shim.conftest import MakeBox

SOURCE = Path(__file__).parents[2] / "support/seccomp_probe.c"
X32 = 0x40000000
# uretprobe and uprobe: newer kernels let them pass all filters, and end who calls them by hand.
UNFILTERED = (335, 336)
# Architectures of the probe and of libseccomp (seccomp.h), and the numbers that are looked at.
ABIS = {
    "x86_64": (0, 0xC000003E, range(520)),
    "x32": (0, 0x4000003E, range(X32, X32 + 600)),
    "i386": (1, 0x40000003, range(520)),
}
HIGH = 1 << 32
FAMILIES = [*range(70), 38 | HIGH, 40 | HIGH, 2 | HIGH, HIGH - 1]
CLONE_FLAGS = [0x11, 0x3D0F00, *(1 << bit for bit in range(32)), 0x10000011, 0x20000 | HIGH]
PERSONALITIES = [0, 1, 4, 8, 0x20000, 0x20008, 0x40000, 0x400000, HIGH - 1, HIGH, 0x20000 | HIGH]
ARGUMENTS = {
    "socket": FAMILIES,
    "socketcall": [*range(40), HIGH | 1],
    "clone": CLONE_FLAGS,
    "personality": PERSONALITIES,
}
# ABI, number, argument.
Query = tuple[str, int, int]
Probe = Callable[[Iterable[Query], dict[str, Any]], list[int]]


class Reading:
    """What the file of the default profile says, for one set of capabilities."""

    def __init__(self, capabilities: Iterable[str]) -> None:
        self._held = set(capabilities)
        document = json.loads(seccomp.DEFAULT_FILE.read_bytes())
        self._default: int = document["defaultErrnoRet"]
        self._rules = [rule for rule in document["syscalls"] if self._holds(rule)]
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_char_p
        self._newest = {
            abi: max(
                number for number in numbers if any(True for _ in self._of(self.name(abi, number)))
            )
            for abi, (_, _, numbers) in ABIS.items()
        }

    def _holds(self, rule: dict[str, Any]) -> bool:
        includes, excludes = rule.get("includes", {}), rule.get("excludes", {})
        return (
            self._held >= set(includes.get("caps", ()))
            and "amd64" in includes.get("arches", ["amd64"])
            and not self._held & set(excludes.get("caps", ()))
        )

    def name(self, abi: str, number: int) -> str:
        """Return a call's name, as far as libseccomp knows it."""
        found = self._library.seccomp_syscall_resolve_num_arch(ABIS[abi][1], number)
        return found.decode() if found else ""

    def _of(self, name: str) -> Iterable[dict[str, Any]]:
        return (rule for rule in self._rules if name in rule["names"])

    def answer(self, query: Query) -> int:
        """Return 0 where a call is allowed, else the errno."""
        abi, number, argument = query
        if number > self._newest[abi]:
            return errno.ENOSYS
        if abi != "x86_64":
            argument %= HIGH  # libseccomp compares 32 bits there
        rules = [r for r in self._of(self.name(abi, number)) if _meets(r, argument)]
        for rule in rules:
            if rule["action"] == "SCMP_ACT_ERRNO":
                return int(rule["errnoRet"])
        return 0 if rules else self._default


def _meets(rule: dict[str, Any], argument: int) -> bool:
    for each in rule.get("args", ()):
        if each["op"] == "SCMP_CMP_EQ":
            met = argument == each["value"]
        else:
            assert each["op"] == "SCMP_CMP_MASKED_EQ"
            met = argument & each["value"] == each["valueTwo"]
        if not met:
            return False
    return True


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if built := os.environ.get("SCOW_TEST_SECCOMP_PROBE"):  # in a machine without a compiler
        return Path(built)
    path = tmp_path_factory.mktemp("probe") / "probe"
    subprocess.run(["gcc", "-static", "-O1", "-Wall", "-Werror", "-o", path, SOURCE], check=True)
    return path


@pytest.fixture
def probe(box: MakeBox, program: Path) -> Probe:
    def ask(queries: Iterable[Query], profile: dict[str, Any]) -> list[int]:
        made = config(args=["sh", "-c", "/probe </queries"])
        made["linux"]["seccomp"] = profile
        container = box(made)
        lines = "".join(f"{ABIS[abi][0]} {number} {arg}\n" for abi, number, arg in queries)
        (container.bundle / "upper/queries").write_text(lines)
        (container.bundle / "upper/probe").write_bytes(program.read_bytes())
        (container.bundle / "upper/probe").chmod(0o755)
        result = container.run()
        assert result.code == 0, result
        return [int(line) for line in result.out.split()]

    return ask


@pytest.mark.parametrize(
    "capabilities",
    [DEFAULT, (*DEFAULT, "CAP_SYS_ADMIN"), KNOWN],
    ids=["default", "admin", "all"],
)
def test_every_call_gets_what_the_file_says(probe: Probe, capabilities: tuple[str, ...]) -> None:
    reading = Reading(capabilities)
    queries = [
        (abi, number, argument)
        for abi, (_, _, numbers) in ABIS.items()
        for number in numbers
        if (abi, number) not in {("x86_64", unfiltered) for unfiltered in UNFILTERED}
        for argument in ARGUMENTS.get(reading.name(abi, number), [0])
    ]
    answers = probe(queries, seccomp.default(capabilities))
    assert len(answers) == len(queries)
    wrong = {
        (*query, reading.name(*query[:2])): (answer, expected)
        for query, answer in zip(queries, answers, strict=True)
        if answer != (expected := reading.answer(query))
    }
    assert not wrong


def test_ways_out_are_closed(probe: Probe) -> None:
    """The same facts without the file: what must never be open by default."""
    sockets = {"x86_64": 41, "x32": X32 | 41, "i386": 359}
    expected: dict[Query, int] = {("i386", 102, 1): errno.ENOSYS, ("i386", 102, 2): 0}
    for abi, number in sockets.items():
        expected[abi, number, 2] = 0
        for family in (38, 40, 38 | HIGH, 40 | HIGH):
            expected[abi, number, family] = errno.EPERM
    for abi, base in (("x86_64", 0), ("x32", X32), ("i386", 0)):
        for number in (425, 426, 427, 428, 429, 430, 431, 432, 442):  # io_uring, new mounts
            expected[abi, base + number, 0] = errno.EPERM
        expected[abi, base + 435, 0] = errno.ENOSYS  # clone3
        expected[abi, base + 590, 0] = errno.ENOSYS  # newer than all that are known
    expected["x86_64", 272, 0] = expected["i386", 310, 0] = errno.EPERM  # unshare
    expected["x86_64", 56, 0x10000011] = expected["i386", 120, 0x10000011] = errno.EPERM
    assert dict(zip(expected, probe(expected, seccomp.default(DEFAULT)), strict=True)) == expected
