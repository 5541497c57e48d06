"""Seccomp profiles: the OCI form compiled to BPF by libseccomp, cached, and loaded.

A profile is compiled once for each machine: the program is kept under the SHA-256 of the profile, in a file written
to a temporary name and renamed. Compiling happens in a forked child, so that neither the
spawner nor an idle shim carries libseccomp.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import marshal
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scow.contract.errors import InvalidConfig, KernelUnsupported, ScowError
from scow.kernel import syscalls
from scow.shim.errors import from_exception, from_json, to_json

_ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_WITH_VALUE = {"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"}
_EPERM = 1
_OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
}
_ATTR_BAD_ARCH = 2
_ATTR_NO_NEW_PRIVS = 3
_ATTR_OPTIMIZE = 8
_NR_UNKNOWN = -1
_ENOSYS = 38
# Numbers of x32 calls have this bit, in the architecture of x86-64 (linux/unistd.h).
_X32_BIT = 0x40000000
# What goes on or is only logged where no rule is found.
_PERMISSIVE = frozenset(("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"))
_FORMAT = b"3"  # part of the cache's key: a change of this module invalidates the cache


@dataclass(frozen=True, slots=True)
class Filter:
    """A compiled program and the flags with which it is loaded."""

    program: bytes
    flags: int

    def load(self) -> None:
        """Confine this process; needs CAP_SYS_ADMIN or no_new_privs."""
        syscalls.seccomp_set_filter(self.program, self.flags)


def prepare(profile: dict[str, Any], cache: str | None) -> Filter:
    """Return the filter of an OCI `linux.seccomp`, from the cache or compiled now.

    Raises:
        InvalidConfig for an unknown action, operator or flag;
            KernelUnsupported when libseccomp is missing.
    """
    if profile.get("listenerPath"):
        raise _invalid("listenerPath", "is not supported")
    flags = 0
    for name in profile.get("flags", ()):
        if name not in _FLAGS:
            raise _invalid("flags", f"has the unknown {name}")
        flags |= _FLAGS[name]
    path = os.path.join(cache, f"{key(profile)}.bpf") if cache else None
    program = _read(path)
    if program is None:
        program = _compile_in_child(profile)
        if path:
            _write(path, program)
    return Filter(program, flags)


def key(profile: dict[str, Any]) -> str:
    """Return the name of a profile's program in the cache."""
    # Quicker than JSON; as version 2 it does not depend on which objects are the same.
    content = marshal.dumps(profile, 2)
    return hashlib.sha256(_FORMAT + os.uname().machine.encode() + content).hexdigest()


def _read(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            program = file.read()
    except FileNotFoundError:
        return None
    return program if program and len(program) % 8 == 0 else None


def _write(path: str, program: bytes) -> None:
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "wb") as file:
        file.write(program)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)


def _compile_in_child(profile: dict[str, Any]) -> bytes:
    """Compile in a child that answers through a memory file: the program, or an error as JSON."""
    result = os.memfd_create("scow-seccomp")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            export(profile, result)
            code = 0
        except BaseException as error:  # noqa: BLE001 - travels to the parent
            typed = from_exception(error, "compile the seccomp profile")
            os.write(result, json.dumps(to_json(typed)).encode())
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    with open(result, "rb") as file:
        file.seek(0)
        raw = file.read()
    if status == 0 and raw:
        return raw
    if raw:
        raise from_json(json.loads(raw))
    raise _invalid("seccomp", f"could not be compiled (status {status})")


# Classic BPF (linux/filter.h, linux/bpf_common.h) on struct seccomp_data: the number at 0, the architecture at 4.
_BPF = struct.Struct("<HBBI")
_ARCH_OFFSET = 4
_LOAD, _JA, _JEQ, _JGT, _JGE, _RETURN = 0x20, 0x05, 0x15, 0x25, 0x35, 0x06
_RETURN_ENOSYS = _BPF.pack(_RETURN, 0, 0, _ACTIONS["SCMP_ACT_ERRNO"] | _ENOSYS)
# Architectures of libseccomp: AUDIT_ARCH_X86_64, and the same as a 32-bit one for x32 (seccomp.h).
_X86_64, _X32 = 0xC000003E, 0x4000003E


class _ArgCompare(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise KernelUnsupported(
            "libseccomp.so.2 is missing on the host",
            what="seccomp",
            do="install the package libseccomp2",
        ) from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    context = ctypes.c_void_p
    library.seccomp_attr_set.argtypes = (context, ctypes.c_int, ctypes.c_uint32)
    library.seccomp_arch_add.argtypes = (context, ctypes.c_uint32)
    library.seccomp_arch_native.restype = ctypes.c_uint32
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_syscall_resolve_name_arch.argtypes = (ctypes.c_uint32, ctypes.c_char_p)
    library.seccomp_rule_add_array.argtypes = (
        context,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_ArgCompare),
    )
    library.seccomp_export_bpf.argtypes = (context, ctypes.c_int)
    return library


def export(profile: dict[str, Any], fd: int) -> None:
    """Compile a profile and write the program to `fd`."""
    library = _library()
    default = _action(profile, "defaultAction", profile.get("defaultErrnoRet"))
    context = library.seccomp_init(default)
    if not context:
        raise _invalid("defaultAction", "was refused by libseccomp")
    library.seccomp_attr_set(context, _ATTR_NO_NEW_PRIVS, 0)
    library.seccomp_attr_set(context, _ATTR_OPTIMIZE, 2)  # a binary tree instead of a list
    names = profile.get("architectures", ())
    tokens = [_add_architecture(library, context, name) for name in names]
    tokens.append(library.seccomp_arch_native())
    for rule in profile.get("syscalls", ()):
        action = _action(rule, "action", rule.get("errnoRet"))
        if action != default:  # libseccomp refuses rules that change nothing
            _add_rule(library, context, action, rule)
    if profile["defaultAction"] not in _PERMISSIVE:
        os.write(fd, _unknown_calls(library, profile, tokens))
    failed = library.seccomp_export_bpf(context, fd)
    if failed:
        raise OSError(-failed, os.strerror(-failed))


def _unknown_calls(library: ctypes.CDLL, profile: dict[str, Any], tokens: Iterable[int]) -> bytes:
    """Return the program's beginning: calls newer than all that the profile names answer ENOSYS, as with runc.

    A C library that tries a new call falls back to an old one for that answer, but not for EPERM.
    """
    names = {name.encode() for rule in profile.get("syscalls", ()) for name in rule["names"]}
    last: dict[int, tuple[int, int]] = {}  # by architecture: numbers without and with the x32 bit
    for token in tokens:
        number = max(
            (library.seccomp_syscall_resolve_name_arch(token, name) for name in names), default=-1
        )
        if number < 0:
            continue
        machine = _X86_64 if token == _X32 else token
        plain, x32 = last.get(machine, (0, 0))
        last[machine] = (plain, number) if token == _X32 else (number, x32)
    return b"".join(_newest(machine, *numbers) for machine, numbers in last.items())


def _newest(machine: int, plain: int, x32: int) -> bytes:
    """Return the instructions for one architecture; other ones go on behind them."""
    body = [_jump(_JGT, plain, 0, 1), _RETURN_ENOSYS] if plain else []
    if machine == _X86_64:
        own = [_jump(_JGT, x32, 0, 1), _RETURN_ENOSYS] if x32 else []
        body = [
            _jump(_JGE, _X32_BIT, 0, len(own) + 1),
            *own,
            _BPF.pack(_JA, 0, 0, len(body)),
            *body,
        ]
    load = [_BPF.pack(_LOAD, 0, 0, _ARCH_OFFSET), _jump(_JEQ, machine, 0, len(body) + 1)]
    return b"".join([*load, _BPF.pack(_LOAD, 0, 0, 0), *body])


def _jump(code: int, value: int, yes: int, no: int) -> bytes:
    return _BPF.pack(code, yes, no, value)


def _add_architecture(library: ctypes.CDLL, context: int, name: str) -> int:
    short = name.removeprefix("SCMP_ARCH_").lower()
    token = library.seccomp_arch_resolve_name(short.encode())
    if not token:
        raise _invalid("architectures", f"has the unknown {name}")
    library.seccomp_arch_add(context, token)  # -EEXIST for the machine's own
    return int(token)


def _add_rule(library: ctypes.CDLL, context: int, action: int, rule: dict[str, Any]) -> None:
    conditions = [_condition(arg) for arg in rule.get("args") or ()]
    for name in rule.get("names", ()):
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == _NR_UNKNOWN:  # newer than this libseccomp: the default action holds
            continue
        for group in _groups(conditions):
            array = (_ArgCompare * len(group))(*group)
            failed = library.seccomp_rule_add_array(context, action, number, len(group), array)
            if failed:
                raise _invalid(f"syscalls {name}", f"was refused: {os.strerror(-failed)}")


def _groups(conditions: list[_ArgCompare]) -> Iterable[list[_ArgCompare]]:
    """Conditions on different arguments hold together; several on one argument are alternatives.

    libseccomp takes one condition an argument, so such ones become rules of their own (as in runc).
    """
    arguments = [condition.arg for condition in conditions]
    if len(set(arguments)) == len(arguments):
        return [conditions]
    return [[condition] for condition in conditions]


def _condition(arg: dict[str, Any]) -> _ArgCompare:
    operator = _OPERATORS.get(arg.get("op", ""))
    if operator is None:
        raise _invalid("syscalls.args.op", f"is the unknown {arg.get('op')}")
    # MASKED_EQ: the mask comes first for libseccomp, as `value` does in the specification.
    return _ArgCompare(
        arg=arg.get("index", 0),
        op=operator,
        datum_a=arg.get("value", 0),
        datum_b=arg.get("valueTwo", 0),
    )


def _action(holder: dict[str, Any], key: str, value: int | None) -> int:
    name = holder.get(key, "")
    if name not in _ACTIONS:
        raise _invalid(key, f"is the unknown {name!r}")
    if name in _WITH_VALUE:
        return _ACTIONS[name] | ((_EPERM if value is None else value) & 0xFFFF)
    return _ACTIONS[name]


def _invalid(place: str, why: str) -> ScowError:
    text = f"config.json: linux.seccomp: {place} {why}"
    return InvalidConfig(text, what="seccomp", which=place)
