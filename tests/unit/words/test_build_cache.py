"""`--cache-from` and `--cache-to`."""

from __future__ import annotations

import pytest

from scow.words.build_cache import CacheOption, parse_from, parse_to


def test_forms() -> None:
    assert parse_from("user/app:1") == CacheOption("registry", {"ref": "user/app:1"}, is_named=True)
    assert parse_from("type=registry,ref=a/b") == CacheOption("registry", {"ref": "a/b"})
    folder = parse_from('type=local,"src=/a,b",tag=x')
    assert (folder.attributes["src"], folder.tag) == ("/a,b", "x")
    to = parse_to("type=local,dest=out,mode=max,ignore-error=true")
    assert (to.tag, to.has_all, to.is_true("ignore-error")) == ("latest", True, True)
    assert parse_to("user/app:1").has_all is False
    assert parse_to("type=inline").type == "inline"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "missing type"),
        ("type=registry", "ref is required"),
        ("type=local", "src is required"),
        ("type=gha", "unknown cache type 'gha'"),
        ("type=registry,ref=a,color=red", "unexpected key 'color'"),
        ("ref=a", "missing type"),
        ("type=local,x", "KEY=VALUE"),
    ],
)
def test_wrong_sources(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_from(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("type=local", "dest is required"),
        ("type=registry,ref=a,mode=all", "invalid cache mode"),
        ("type=registry,ref=a,compression=estargz", "invalid compression"),
        ("type=registry,ref=a,ignore-error=perhaps", "ignore-error"),
        ("type=registry,ref=a,image-manifest=false", "OCI images"),
        ("type=inline,mode=max", "unexpected key 'mode'"),
    ],
)
def test_wrong_targets(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_to(text)
