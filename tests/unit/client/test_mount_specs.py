"""Texts of Docker's flags for mounts. Refusals are in the words of docker 28."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scow.client import mount_specs as specs


def test_parse_volume() -> None:
    assert specs.parse_volume("/data") == {"type": "volume", "source": "", "target": "/data"}
    assert specs.parse_volume("/a:/b:ro,rslave,z,cached") == {
        "type": "bind",
        "source": "/a",
        "target": "/b",
        "create_source": True,
        "read_only": True,
        "propagation": "rslave",
    }
    assert specs.parse_volume("v:/b:nocopy,Z")["no_copy"] is True
    assert specs.parse_volume("./rel:/x")["source"] == os.path.abspath("rel")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "invalid empty volume spec"),
        ("/a:/b:/c:/d", "invalid spec: /a:/b:/c:/d: too many colons"),
        (":/x", "invalid spec: :/x: empty section between colons"),
        ("/tmp:/x:", "invalid spec: /tmp:/x:: empty section between colons"),
        ("v:/x:ro,rw", "invalid mode: ro,rw"),
        ("/tmp:/x:z,Z", "invalid mode: z,Z"),
        ("/tmp:/x:rshared,rslave", "invalid mode: rshared,rslave"),
        ("/tmp:/x:RO", "invalid mode: RO"),
        ("v:/x:nocopy,nocopy", "invalid mode: nocopy,nocopy"),
        (
            "/tmp:/x:nocopy",
            (
                "invalid volume specification: '/tmp:/x:nocopy': invalid mount config for type"
                ' "bind": field VolumeOptions must not be specified'
            ),
        ),
        (
            "vol:/x:rshared",
            (
                "invalid volume specification: 'vol:/x:rshared': invalid mount config for type"
                ' "volume": field BindOptions must not be specified'
            ),
        ),
        (
            "/tmp:/../..",
            (
                "invalid volume specification: '/tmp:/../..': invalid mount config for type"
                " \"bind\": invalid specification: destination can't be '/'"
            ),
        ),
        (
            "/tmp:rel",
            (
                "invalid volume specification: '/tmp:rel': invalid mount config for type"
                " \"bind\": invalid mount path: 'rel' mount path must be absolute"
            ),
        ),
    ],
)
def test_wrong_volumes(text: str, fault: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared whole
        specs.parse_volume(text)
    assert str(caught.value) == fault


def test_parse_mount_reads_csv() -> None:
    made = specs.parse_mount(
        'type=volume,"source=a,b",target=/x,volume-label=k=v,volume-nocopy,volume-opt=o=size=1,'
        "volume-opt=type=tmpfs,volume-subpath=c/d,exclusive,consistency=whatever"
    )
    assert made == {
        "type": "volume",
        "source": "a,b",
        "target": "/x",
        "volume_labels": {"k": "v"},
        "volume_options": {"o": "size=1", "type": "tmpfs"},
        "no_copy": True,
        "subpath": "c/d",
        "exclusive": True,
    }


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("TYPE=bind,SRC=/tmp,DST=/x", {"type": "bind", "source": "/tmp", "target": "/x"}),
        ("type=BIND,src=/t,dst=/x,ro=1", {"read_only": True, "type": "bind"}),
        ("type=bind,src=/t,dst=/x,readonly=F", {"read_only": False}),
        ("type=bind,src=./t,dst=/x,bind-create-src", {"source": os.path.abspath("t")}),
        ("type=bind,src=/t,dst=/x,bind-nonrecursive", {"recursion": "disabled"}),
        ("type=bind,src=/t,dst=/x,bind-recursive=enabled", {"recursion": ""}),
        ("type=bind,src=/t,dst=/x,bind-recursive=writable,ro", {"recursion": "writable"}),
        (
            "type=bind,src=/t,dst=/x,bind-recursive=readonly,ro,bind-propagation=rprivate",
            {"recursion": "readonly", "propagation": "rprivate"},
        ),
        ("type=tmpfs,dst=/x,tmpfs-mode=700,tmpfs-size=1m", {"tmpfs_mode": 0o700}),
        ("type=overlay,src=/t,dst=/x,tmpfs-size=1m", {"tmpfs_size": 1 << 20}),
        ("dst=/x", {"type": "volume", "source": ""}),
        ("type=cluster,src=a,dst=/x", {"type": "cluster"}),
    ],
)
def test_forms_of_mount(text: str, fields: dict[str, object]) -> None:
    made = specs.parse_mount(text)
    assert {key: made[key] for key in fields} == fields


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "target is required"),
        ("type=bind", "target is required"),
        ("type=bind,src=/t,dst=/x,foo=bar", "unexpected key 'foo' in 'foo=bar'"),
        ("type=bind,src=/t,dst=/x,foo", "invalid field 'foo' must be a key=value pair"),
        ("type=bind,src=/t,dst=/x,readonly=foo", "invalid value for readonly: foo"),
        (
            "type=bind,src=/t,dst=/x,volume-nocopy",
            "cannot mix 'volume-*' options with mount type 'bind'",
        ),
        (
            "type=volume,dst=/x,bind-propagation=rshared",
            "cannot mix 'bind-*' options with mount type 'volume'",
        ),
        (
            "type=tmpfs,dst=/x,volume-nocopy",
            "cannot mix 'volume-*' options with mount type 'tmpfs'",
        ),
        ("type=tmpfs,dst=/x,tmpfs-size=abc", "invalid value for tmpfs-size: abc"),
        ("type=tmpfs,dst=/x,tmpfs-size=-1", "invalid value for tmpfs-size: -1"),
        ("type=tmpfs,dst=/x,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
        ("type=volume,dst=/x,volume-nocopy=maybe", "invalid value for volume-nocopy: maybe"),
        (
            "type=bind,src=/t,dst=/x,bind-recursive=foo",
            (
                "invalid value for bind-recursive: foo (must be"
                ' "enabled", "disabled", "writable", or "readonly")'
            ),
        ),
        (
            "type=bind,src=/t,dst=/x,bind-recursive=readonly",
            "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction",
        ),
        (
            "type=bind,src=/t,dst=/x,bind-recursive=readonly,ro",
            (
                "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be"
                " specified in conjunction"
            ),
        ),
        ("type=bind,src=/t,dst=/x,bind-propagation=up", "invalid propagation mode: up"),
    ],
)
def test_wrong_mounts(text: str, fault: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared whole
        specs.parse_mount(text)
    assert str(caught.value) == fault


def test_parse_tmpfs() -> None:
    assert specs.parse_tmpfs("/x:size=1m,,mode=700,exec,ro") == {
        "type": "tmpfs",
        "target": "/x",
        "tmpfs_size": 1 << 20,
        "tmpfs_mode": 0o700,
        "tmpfs_options": ["exec"],
        "read_only": True,
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x", "invalid mount path: 'x' mount path must be absolute"),
        ("/", "invalid specification: destination can't be '/'"),
        ("", "invalid mount path: '' mount path must be absolute"),
    ],
)
def test_wrong_tmpfs(text: str, fault: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared whole
        specs.parse_tmpfs(text)
    assert str(caught.value) == fault


@pytest.mark.parametrize("text", ["box", "box:ro", "box:rw,z", "box:Z"])
def test_volumes_from(text: str) -> None:
    assert specs.parse_volumes_from(text) == text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (":ro", 'invalid name or ID supplied: ""'),
        ("box:foo", "invalid mode: foo"),
        ("box:ro:rw", "invalid mode: ro:rw"),
        ("box:nocopy", "invalid mode: nocopy"),
        ("box:ro,rw", "invalid mode: ro,rw"),
    ],
)
def test_wrong_volumes_from(text: str, fault: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared whole
        specs.parse_volumes_from(text)
    assert str(caught.value) == fault


def test_paths_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert specs.parse_mount("type=bind,src=.,dst=/x")["source"] == str(tmp_path)
    assert specs.parse_mount("type=bind,src=rel,dst=/x")["source"] == "rel"
