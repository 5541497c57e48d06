import json
from typing import Any

import pytest

from scow.container.spec import seccomp
from scow.container.spec.capabilities import DEFAULT, KNOWN
from scow.contract.errors import InvalidConfig


def allowed(profile: dict[str, Any]) -> set[str]:
    """Names that are allowed without a condition."""
    return {
        name
        for rule in profile["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW" and not rule.get("args")
        for name in rule["names"]
    }


def test_the_default_profile_denies_what_is_not_named() -> None:
    profile = seccomp.default(DEFAULT, "x86_64")
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert profile["defaultErrnoRet"] == 1
    names = allowed(profile)
    assert {"read", "execve", "chroot", "arch_prctl"} <= names
    denied = "mount unshare setns keyctl add_key bpf io_uring_setup kexec_load reboot init_module"
    assert not names & set(denied.split())


@pytest.mark.parametrize(
    ("capability", "name"),
    [
        ("CAP_SYS_ADMIN", "mount"),
        ("CAP_SYS_PTRACE", "kcmp"),
        ("CAP_SYS_MODULE", "init_module"),
        ("CAP_SYS_TIME", "settimeofday"),
    ],
)
def test_a_capability_brings_its_calls(capability: str, name: str) -> None:
    assert name not in allowed(seccomp.default(DEFAULT, "x86_64"))
    assert name in allowed(seccomp.default([*DEFAULT, capability], "x86_64"))


def test_without_sys_admin_no_namespaces_and_clone3_says_enosys() -> None:
    rules = seccomp.default(DEFAULT, "x86_64")["syscalls"]
    clone = next(rule for rule in rules if rule["names"] == ["clone"])
    assert clone["args"][0]["op"] == "SCMP_CMP_MASKED_EQ"
    clone3 = next(rule for rule in rules if rule["names"] == ["clone3"])
    assert (clone3["action"], clone3["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)
    assert "clone3" in allowed(seccomp.default(KNOWN, "x86_64"))


def test_the_machine_decides_architectures() -> None:
    assert seccomp.default(DEFAULT, "aarch64")["architectures"][0] == "SCMP_ARCH_AARCH64"
    assert seccomp.default(DEFAULT, "riscv64")["architectures"] == ["SCMP_ARCH_RISCV64"]


def test_the_default_profile_is_a_file_that_can_be_given() -> None:
    given = seccomp.custom(seccomp.DEFAULT_FILE.read_text(), DEFAULT)
    assert given == seccomp.default(DEFAULT)


DOCKERS = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 1,
    "archMap": [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": None},
    ],
    "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["b"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["c"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        {"names": ["d"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["e"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]}},
        {"name": "f", "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
    ],
}


@pytest.mark.parametrize(
    ("capabilities", "machine", "kernel", "names"),
    [
        (DEFAULT, "x86_64", "6.1.0-9-amd64", "read b d f"),
        (KNOWN, "x86_64", "6.1.0", "read a d f"),
        (DEFAULT, "aarch64", "4.7", "read b c e f"),
    ],
)
def test_conditions_of_a_docker_profile(
    capabilities: tuple[str, ...], machine: str, kernel: str, names: str
) -> None:
    profile = seccomp.custom(json.dumps(DOCKERS), capabilities, machine, kernel)
    assert [name for rule in profile["syscalls"] for name in rule["names"]] == names.split()
    assert profile["syscalls"][-1]["errnoRet"] == 38
    first = "SCMP_ARCH_X86_64" if machine == "x86_64" else "SCMP_ARCH_AARCH64"
    assert profile["architectures"][0] == first


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"defaultAction": 1, "syscalls": 5}',
        "{",
        "null",
        "[" * 100_000,
        json.dumps({**DOCKERS, "architectures": ["SCMP_ARCH_X86"]}),
        json.dumps({**DOCKERS, "listenerPath": "/run/agent.sock"}),
        json.dumps({**DOCKERS, "syscalls": [{"name": "a", "names": ["b"], "action": "X"}]}),
    ],
)
def test_what_is_no_profile_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfig):
        seccomp.custom(text, DEFAULT)


@pytest.mark.parametrize(
    ("profile", "why"),
    [
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "NOTIFY is not supported"),
        ({"defaultAction": "ALLOW"}, "defaultAction has the unknown 'ALLOW'"),
        ({"syscalls": [{"names": ["x"], "action": "SCMP_ACT_NOTIFY"}]}, "NOTIFY is not supported"),
        ({"syscalls": [{"names": ["x"], "action": "odd"}]}, "action has the unknown 'odd'"),
        ({"syscalls": [{"names": ["x"], "args": [{"op": "odd"}]}]}, "op has the unknown 'odd'"),
        ({"syscalls": [{"names": ["x"], "args": [{"index": 6}]}]}, "there are 0 to 5"),
        ({"syscalls": [{"names": ["x"], "args": [{"value": -1}]}]}, "no number of 64 bits"),
        ({"flags": ["odd"]}, "flags has the unknown 'odd'"),
        ({"listenerPath": "/x"}, "listenerPath is not supported"),
    ],
)
def test_what_no_container_could_be_started_with(profile: dict[str, Any], why: str) -> None:
    whole: dict[str, Any] = {"defaultAction": "SCMP_ACT_ALLOW", **profile}
    for rule in whole.get("syscalls", ()):
        rule.setdefault("action", "SCMP_ACT_ALLOW")
        for argument in rule.get("args", ()):
            argument.setdefault("op", "SCMP_CMP_EQ")
    with pytest.raises(InvalidConfig, match=why):
        seccomp.check(json.dumps(whole))


def test_the_default_profile_is_one() -> None:
    seccomp.check(seccomp.DEFAULT_FILE.read_text())
