from pathlib import Path

import pytest

from scow.container.spec import security_options
from scow.container.spec.security_options import Options
from scow.contract.errors import InvalidConfig, KernelUnsupported


def test_options() -> None:
    options = security_options.parse(
        ["no-new-privileges", "seccomp=unconfined", "apparmor=mine", "systempaths=unconfined"]
    )
    assert options == Options("unconfined", "mine", True, True)
    assert security_options.parse(["no-new-privileges:true", "seccomp=builtin"]) == Options(
        no_new_privileges=True
    )
    assert security_options.parse(["label=disable", "no-new-privileges=false"]) == Options()


@pytest.mark.parametrize("option", ["", "seccomp", "apparmor=", "no-new-privileges=maybe", "x=y"])
def test_unknown_options_are_refused(option: str) -> None:
    with pytest.raises(InvalidConfig):
        security_options.parse([option])


def test_selinux_is_said_to_be_unsupported() -> None:
    with pytest.raises(KernelUnsupported) as caught:
        security_options.parse(["label=type:x"])
    assert caught.value.which == "label=type:x"


def test_apparmor() -> None:
    named = Options(apparmor="mine")
    assert security_options.apparmor_profile(named, False, enabled=True) == "mine"
    profile = security_options.apparmor_profile
    assert profile(Options(), False, enabled=True, parser=True) == "scow-default"
    assert profile(Options(), True, enabled=True, parser=True) == ""
    assert profile(Options(), False, enabled=True, parser=False) == ""
    assert profile(Options(), False, enabled=False, parser=True) == ""
    unconfined = Options(apparmor="unconfined")
    assert security_options.apparmor_profile(unconfined, False, enabled=True) == "unconfined"
    assert security_options.apparmor_profile(unconfined, False, enabled=False) == ""
    with pytest.raises(KernelUnsupported):
        security_options.apparmor_profile(named, False, enabled=False)


def test_where_containers_get_the_default_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("container", raising=False)
    monkeypatch.setattr(security_options, "_POLICY", str(tmp_path))
    monkeypatch.setattr(security_options, "apparmor_parser", lambda: "/sbin/apparmor_parser")
    assert security_options.apparmor_loads()
    with monkeypatch.context() as nested:
        nested.setenv("container", "lxc")
        assert not security_options.apparmor_loads()
    with monkeypatch.context() as bare:
        bare.setattr(security_options, "_POLICY", str(tmp_path / "none"))
        assert not security_options.apparmor_loads()
    monkeypatch.setattr(security_options, "apparmor_parser", lambda: "")
    assert not security_options.apparmor_loads()
