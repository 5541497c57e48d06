"""Compiling seccomp profiles, checked by running the program as the kernel would."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest

from scow.container.spec import capabilities
from scow.container.spec.seccomp import default
from scow.contract.errors import ScowError
from scow.shim.confine import seccomp

ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
X86 = 0xC000003E
pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers are of x86_64")


def run(program: bytes, number: int, *args: int, arch: int = X86) -> int:
    """Interpret classic BPF (linux/filter.h) on a struct seccomp_data; return the action."""
    data = struct.pack("<iIQ6Q", number, arch, 0, *args, *[0] * (6 - len(args)))
    code = list(struct.iter_unpack("<HBBI", program))
    accumulator = position = 0
    while True:
        opcode, yes, no, k = code[position]
        position += 1
        if opcode == 0x20:  # ld [k]
            (accumulator,) = struct.unpack_from("<I", data, k)
        elif opcode == 0x54:  # and #k
            accumulator &= k
        elif opcode == 0x05:  # ja
            position += k
        elif opcode & 0x07 == 0x05:
            test = {
                0x10: accumulator == k,
                0x20: accumulator > k,
                0x30: accumulator >= k,
                0x40: bool(accumulator & k),
            }[opcode & 0xF0]
            position += yes if test else no
        elif opcode == 0x06:
            return int(k)
        else:
            raise AssertionError(f"opcode {opcode:#x}")


def compiled(profile: dict[str, Any]) -> bytes:
    return seccomp.prepare(profile, None).program


@pytest.mark.parametrize(
    ("number", "args", "expected"),
    [
        (0, (), ALLOW),  # read
        (59, (), ALLOW),  # execve
        (165, (), EPERM),  # mount
        (250, (), EPERM),  # keyctl
        (248, (), EPERM),  # add_key
        (272, (), EPERM),  # unshare
        (308, (), EPERM),  # setns
        (246, (), EPERM),  # kexec_load
        (175, (), EPERM),  # init_module
        (321, (), EPERM),  # bpf
        (435, (), ENOSYS),  # clone3
        (56, (0x11,), ALLOW),  # clone as fork does
        (56, (0x10000000,), EPERM),  # clone with CLONE_NEWUSER
        (56, (0x00020011,), EPERM),  # clone with CLONE_NEWNS
        (135, (0,), ALLOW),  # personality
        (135, (0x0040000,), EPERM),  # ADDR_NO_RANDOMIZE
        (41, (2,), ALLOW),  # socket AF_INET
        (41, (40,), EPERM),  # AF_VSOCK
        (41, (38,), EPERM),  # AF_ALG
        (41, (38 | 1 << 32,), EPERM),  # the kernel looks at the low 32 bits alone
        (9999, (), ENOSYS),
    ],
)
def test_the_default_profile(number: int, args: tuple[int, ...], expected: int) -> None:
    program = compiled(default(capabilities.DEFAULT))
    assert run(program, number, *args) == expected


def test_the_default_profile_with_sys_admin() -> None:
    program = compiled(default([*capabilities.DEFAULT, "CAP_SYS_ADMIN"]))
    for number in (165, 272, 308, 435):
        assert run(program, number) == ALLOW


def test_calls_newer_than_the_profile_answer_enosys_unless_it_permits() -> None:
    rule = {"names": ["close", "dup"], "action": "SCMP_ACT_ALLOW"}
    strict = {"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [rule]}
    assert [run(compiled(strict), n) for n in (3, 32, 33)] == [ALLOW, ALLOW, ENOSYS]
    assert run(compiled({**strict, "defaultAction": "SCMP_ACT_ALLOW"}), 33) == ALLOW
    both = {**strict, "architectures": ["SCMP_ARCH_X86"]}
    numbers = [run(compiled(both), n, arch=0x40000003) for n in (6, 41, 42)]
    assert numbers == [ALLOW, ALLOW, ENOSYS]


def test_an_unknown_architecture_is_killed() -> None:
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}
    assert run(compiled(profile), 0, arch=0x1234) < ALLOW


def test_several_conditions_on_one_argument_are_alternatives() -> None:
    args = [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"} for value in (3, 4)]
    rule = {"names": ["close"], "action": "SCMP_ACT_ERRNO", "errnoRet": 9, "args": args}
    program = compiled({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
    assert [run(program, 3, value) for value in (3, 4, 5)] == [0x50009, 0x50009, ALLOW]


def test_conditions_on_several_arguments_hold_together() -> None:
    args = [{"index": index, "value": 1, "op": "SCMP_CMP_GE"} for index in (0, 1)]
    rule = {"names": ["close"], "action": "SCMP_ACT_ERRNO", "args": args}
    program = compiled({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
    assert run(program, 3, 1, 1) == EPERM
    assert run(program, 3, 1, 0) == ALLOW


def test_names_that_are_too_new_are_left_to_the_default() -> None:
    rule = {"names": ["no_such_call", "close"], "action": "SCMP_ACT_ALLOW"}
    program = compiled({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]})
    assert run(program, 3) == ALLOW


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"defaultAction": "SCMP_ACT_NONE"}, "defaultAction"),
        ({"architectures": ["SCMP_ARCH_NONE"]}, "architectures"),
        ({"flags": ["NONE"]}, "flags"),
        ({"listenerPath": "/x"}, "listenerPath"),
        ({"syscalls": [{"names": ["close"], "action": "X"}]}, "action"),
        (
            {"syscalls": [{"names": ["close"], "action": "SCMP_ACT_KILL", "args": [{"op": "X"}]}]},
            "syscalls.args.op",
        ),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], place: str) -> None:
    with pytest.raises(ScowError) as raised:
        seccomp.prepare({"defaultAction": "SCMP_ACT_ALLOW", **change}, None)
    assert raised.value.reason == "INVALID_CONFIG"
    assert raised.value.metadata["which"] == place


def test_the_cache(tmp_path: Path) -> None:
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}
    first = seccomp.prepare(profile, str(tmp_path))
    (path,) = tmp_path.iterdir()
    assert path.read_bytes() == first.program
    marked = b"\x06\0\0\0\0\0\xff\x7f"
    path.write_bytes(marked)
    assert seccomp.prepare(profile, str(tmp_path)).program == marked
    path.write_bytes(b"cut")  # not whole instructions: compiled anew
    assert seccomp.prepare(profile, str(tmp_path)).program == first.program
    other = {"defaultAction": "SCMP_ACT_LOG", "syscalls": []}
    seccomp.prepare(other, str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


def test_flags() -> None:
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"]}
    assert seccomp.prepare(profile, None).flags == 2
