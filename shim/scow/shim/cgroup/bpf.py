"""The device allow list of cgroup v2: a BPF program of type CGROUP_DEVICE, attached to the cgroup.

The kernel runs it with a struct bpf_cgroup_dev_ctx: access and type, major, minor; 1 allows.
The program tests the rules from the last to the first, so that later rules override earlier ones, and
denies what none matches.

    r2 type   r3 access   r4 major   r5 minor
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence

from scow.contract.errors import InvalidConfig
from scow.kernel import syscalls
from scow.shim.errors import from_os_error
from scow.shim.oci.config import DeviceRule

_PROG_LOAD, _PROG_ATTACH = 5, 8
_TYPE_CGROUP_DEVICE, _ATTACH_CGROUP_DEVICE = 15, 6
_ALLOW_MULTI = 2
_TYPES = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}
_EVERY_ACCESS = 7

# Opcodes (kernel documentation, bpf/standardization/instruction-set).
_LOAD_WORD = 0x61
_AND, _SHIFT_RIGHT = 0x54, 0x74  # on 32 bits, with an immediate
_MOVE_REGISTER, _MOVE = 0xBC, 0xB4
_JUMP_NE, _JUMP_EQ, _JUMP_NE_REGISTER = 0x56, 0x16, 0x5E
_EXIT = 0x95


def _instruction(
    opcode: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0
) -> bytes:
    return struct.pack("<BBhI", opcode, source << 4 | target, offset, value & 0xFFFFFFFF)


def build(rules: Sequence[DeviceRule]) -> bytes:
    """Return the program for an ordered list of rules."""
    program = [
        _instruction(_LOAD_WORD, 2, 1, 0),
        _instruction(_MOVE_REGISTER, 3, 2),
        _instruction(_AND, 2, value=0xFFFF),
        _instruction(_SHIFT_RIGHT, 3, value=16),
        _instruction(_LOAD_WORD, 4, 1, 4),
        _instruction(_LOAD_WORD, 5, 1, 8),
    ]
    for rule in reversed(rules):
        program += _rule(rule)
        everything = rule.type == "a" and rule.major is None and rule.minor is None
        if everything and _access(rule) == _EVERY_ACCESS:
            return b"".join(program)  # what follows is unreachable
    program += [_instruction(_MOVE, 0, value=0), _instruction(_EXIT)]
    return b"".join(program)


def _rule(rule: DeviceRule) -> list[bytes]:
    """Test one rule; each failed test jumps to the next rule."""
    access = _access(rule)
    tests: list[tuple[int, int, int, int]] = []  # opcode, target, source, value
    if rule.type != "a":
        tests.append((_JUMP_NE, 2, 0, _TYPES[rule.type]))
    if access != _EVERY_ACCESS:
        tests += [(_MOVE_REGISTER, 1, 3, 0), (_AND, 1, 0, access)]
        # To allow, all that is asked for must be in the rule; to deny, any of it.
        tests.append((_JUMP_NE_REGISTER, 1, 3, 0) if rule.allow else (_JUMP_EQ, 1, 0, 0))
    if rule.major is not None:
        tests.append((_JUMP_NE, 4, 0, rule.major))
    if rule.minor is not None:
        tests.append((_JUMP_NE, 5, 0, rule.minor))
    jumps = (_JUMP_NE, _JUMP_EQ, _JUMP_NE_REGISTER)
    code = []
    for index, (opcode, target, source, value) in enumerate(tests):
        offset = len(tests) - index - 1 + 2 if opcode in jumps else 0
        code.append(_instruction(opcode, target, source, offset, value))
    return [*code, _instruction(_MOVE, 0, value=int(rule.allow)), _instruction(_EXIT)]


def _access(rule: DeviceRule) -> int:
    if rule.type not in ("a", *_TYPES) or not set(rule.access) <= set(_ACCESS):
        text = f"config.json: linux.resources.devices: {rule.type!r} {rule.access!r} is not a rule"
        raise InvalidConfig(text, what="device")
    return sum(_ACCESS[letter] for letter in set(rule.access))


class _Load(ctypes.Structure):
    _fields_ = (
        ("prog_type", ctypes.c_uint32),
        ("insn_cnt", ctypes.c_uint32),
        ("insns", ctypes.c_uint64),
        ("license", ctypes.c_uint64),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_uint64),
        ("kern_version", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
    )


class _Attach(ctypes.Structure):
    _fields_ = (
        ("target_fd", ctypes.c_uint32),
        ("attach_bpf_fd", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("attach_flags", ctypes.c_uint32),
    )


def confine_devices(directory: str, rules: Sequence[DeviceRule]) -> None:
    """Load the program for `rules` and attach it to a cgroup; it lives as long as the cgroup."""
    program = build(rules)
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    load = _Load(
        prog_type=_TYPE_CGROUP_DEVICE,
        insn_cnt=len(program) // 8,
        insns=ctypes.addressof(code),
        license=ctypes.addressof(licence),
    )
    try:
        loaded = syscalls.bpf(_PROG_LOAD, load)
        cgroup = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            attach = _Attach(cgroup, loaded, _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI)
            syscalls.bpf(_PROG_ATTACH, attach)
        finally:
            os.close(cgroup)
            os.close(loaded)
    except OSError as error:
        raise from_os_error(error, "confine the container's devices with BPF") from error
