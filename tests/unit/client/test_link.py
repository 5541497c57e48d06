"""Where the engine is, which failures are worth another attempt, and for how long."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scow.client._link import Link, WireError, request_id, traceparent
from scow.contract.errors import (
    ContainerNotFound,
    InvalidArgument,
    NotFound,
    ServiceUnavailable,
    Unavailable,
)


def test_host_of_the_argument_then_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCOW_HOST", "unix:///b")
    assert Link("unix:///a").socket("image") == "/a/image.sock"
    assert Link().socket("image") == "/b/image.sock"
    monkeypatch.delenv("SCOW_HOST")
    assert Link().run == "/run/scow"


@pytest.mark.parametrize("host", ["/run/scow", "tcp://x:1", "unix:", "unix://"])
def test_other_hosts_are_refused(host: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Link(host)
    assert caught.value.metadata["which"] == host
    assert "unix://" in caught.value.metadata["do"]


def test_details_make_the_class() -> None:
    sent = ContainerNotFound("no such container: web", what="container", which="web", do="look")
    error = Link("unix:///a").translate("container", WireError(5, sent.message, sent.to_details()))
    assert isinstance(error, ContainerNotFound)
    assert isinstance(error, NotFound)
    assert error.metadata == sent.metadata
    assert str(error) == "no such container: web: look"


def test_a_status_without_details_makes_the_class_of_its_code() -> None:
    error = Link("unix:///a").translate("container", WireError(5, "gone"))
    assert type(error) is NotFound


def test_no_answer_names_the_socket_and_what_to_do(tmp_path: Path) -> None:
    link = Link(f"unix://{tmp_path}")
    error = link.translate("image", WireError(14, "connect failed"))
    assert isinstance(error, ServiceUnavailable)
    assert error.which == f"{tmp_path}/image.sock"
    assert "scowd" in error.metadata["do"]


def test_only_a_service_that_was_there_is_waited_for(tmp_path: Path) -> None:
    link = Link(f"unix://{tmp_path}")
    error = link.translate("image", WireError(14, "connect failed"))
    assert not link.worth_waiting("image", error)
    (tmp_path / "image.sock").touch()
    assert link.worth_waiting("image", error)
    # The registry's outage is not the service's.
    assert not link.worth_waiting("image", Unavailable("x", what="registry"))
    assert not link.worth_waiting("image", NotFound("x", what="service"))


def test_request_ids_are_version_4_uuids() -> None:
    import uuid

    made = {request_id() for _ in range(100)}
    assert len(made) == 100
    assert all(uuid.UUID(each).version == 4 for each in made)


def test_a_trace_travels_while_it_is_set() -> None:
    link = Link("unix:///a")
    assert link.metadata() == ()
    token = traceparent.set("00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    try:
        assert link.metadata() == (("traceparent", traceparent.get()),)
    finally:
        traceparent.reset(token)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it becomes another user")
def test_a_socket_of_others_is_told_apart(tmp_path: Path) -> None:
    socket = tmp_path / "image.sock"
    socket.touch(mode=0o600)
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder).startswith("/tmp/"):
            os.chmod(folder, 0o755)
    code = (
        "import os, sys; from scow.client._link import Link, WireError; import scow.contract.errors;"
        "os.setuid(65534);"
        "print(Link(sys.argv[1]).translate('image', WireError(14, 'connect failed')).reason)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"unix://{tmp_path}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "PERMISSION_DENIED\n"
