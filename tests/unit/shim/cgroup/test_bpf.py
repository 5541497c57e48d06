"""The device program, run by a small interpreter of the eBPF instructions that it uses."""

from __future__ import annotations

import struct

import pytest

from scow.contract.errors import ScowError
from scow.shim.cgroup import base, bpf
from scow.shim.oci.config import DeviceRule

MKNOD, READ, WRITE = 1, 2, 4
BLOCK, CHAR = 1, 2


def run(program: bytes, kind: int, access: int, major: int, minor: int) -> bool:
    context = {0: access << 16 | kind, 4: major, 8: minor}
    code = list(struct.iter_unpack("<BBhi", program))
    registers = [0] * 11
    position = 0
    while True:
        opcode, sides, offset, value = code[position]
        target, source = sides & 15, sides >> 4
        position += 1
        if opcode == 0x61:
            registers[target] = context[offset]
        elif opcode == 0x54:
            registers[target] &= value
        elif opcode == 0x74:
            registers[target] >>= value
        elif opcode == 0xBC:
            registers[target] = registers[source]
        elif opcode == 0xB4:
            registers[target] = value
        elif opcode == 0x56:
            position += offset if registers[target] != value else 0
        elif opcode == 0x16:
            position += offset if registers[target] == value else 0
        elif opcode == 0x5E:
            position += offset if registers[target] != registers[source] else 0
        elif opcode == 0x95:
            return bool(registers[0])
        else:
            raise AssertionError(f"opcode {opcode:#x}")


def test_docker_s_default() -> None:
    deny = DeviceRule(False, "a", None, None, "rwm")
    program = bpf.build((deny, *base.DEFAULT_DEVICES))
    assert run(program, CHAR, READ | WRITE, 1, 3)
    assert run(program, CHAR, READ | WRITE, 136, 7)
    assert run(program, BLOCK, MKNOD, 8, 0)
    assert not run(program, BLOCK, READ, 8, 0)
    assert not run(program, CHAR, READ, 1, 1)
    assert not run(program, CHAR, MKNOD | READ, 1, 1)


def test_later_rules_override_and_nothing_matches_is_denied() -> None:
    allow = DeviceRule(True, "c", 10, None, "rwm")
    deny = DeviceRule(False, "c", 10, 200, "w")
    program = bpf.build((allow, deny))
    assert run(program, CHAR, READ, 10, 200)
    assert not run(program, CHAR, READ | WRITE, 10, 200)
    assert run(program, CHAR, WRITE, 10, 201)
    assert not run(program, BLOCK, READ, 10, 201)


def test_everything_allowed() -> None:
    program = bpf.build((DeviceRule(True, "a", None, None, "rwm"),))
    assert run(program, BLOCK, READ | WRITE | MKNOD, 8, 1)


@pytest.mark.parametrize(("kind", "access"), [("x", "r"), ("c", "q")])
def test_rules_that_are_none(kind: str, access: str) -> None:
    with pytest.raises(ScowError):
        bpf.build((DeviceRule(True, kind, 1, 1, access),))
