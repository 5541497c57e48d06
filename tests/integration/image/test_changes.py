"""What was changed in a snapshot, told while it is there."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from scow.api.image.v1 import layer_pb2
from scow.api.image.v1.layer_pb2_grpc import LayerServiceStub
from scow.contract import errors
from tests.integration.image.test_commit import BASE, OWNER, Images, import_tar
from tests.support.service import Service, from_rpc_error
from tests.support.snapshots import inside

_LETTERS = "?CAD"
CHANGES = r"""
rm etc/gone; echo new > etc/changed; rm -r tree
rm -r opaque; mkdir opaque; echo shown > opaque/shown
rm file-then-folder; mkdir file-then-folder; touch file-then-folder/in
rm -r folder-then-file; echo file > folder-then-file
chmod 700 only-mode; mkdir -p new/deep; touch new/deep/file; ln -s x new/link; mkfifo new/fifo
touch etc/passing; rm etc/passing; touch -a etc/keep; mv new/deep new/moved
touch $'new/not-utf-8-\xff'; : > etc/hosts; mkdir -p proc sys dev; mkdir kept; rmdir kept
"""
EXPECTED = [
    ("C", b"/etc"),
    ("C", b"/etc/changed"),
    ("D", b"/etc/gone"),
    ("C", b"/file-then-folder"),
    ("A", b"/file-then-folder/in"),
    ("C", b"/folder-then-file"),
    ("A", b"/new"),
    ("A", b"/new/fifo"),
    ("A", b"/new/link"),
    ("A", b"/new/moved"),
    ("A", b"/new/moved/file"),
    ("A", b"/new/not-utf-8-\xff"),
    ("C", b"/only-mode"),
    ("C", b"/opaque"),
    ("D", b"/opaque/hidden"),
    ("A", b"/opaque/shown"),
    ("D", b"/tree"),
]


@pytest.fixture
def made(service: Service) -> Iterator[Images]:
    images = Images(service)
    yield images
    images.close()


def listed(service: Service, owner: str = OWNER) -> list[tuple[str, bytes]]:
    request = layer_pb2.ListChangesRequest(owner=owner)
    messages = LayerServiceStub(service.channel).ListChanges(request, timeout=60)
    return [(_LETTERS[each.kind], each.path) for message in messages for each in message.changes]


def test_what_was_added_changed_and_deleted_is_told(service: Service, made: Images) -> None:
    base = made.add(import_tar(service, BASE))
    mounts = made.prepare(base.id)
    assert listed(service) == []
    inside(mounts, CHANGES)
    assert listed(service) == EXPECTED


def test_paths_of_any_depth_and_number_are_looked_at(service: Service, made: Images) -> None:
    base = made.add(import_tar(service, BASE))
    deep = "for i in $(seq 50); do mkdir $(printf 'd%.0s' {1..200}); cd ddd*; touch f; done; cd /"
    inside(made.prepare(base.id), f"({deep}); mkdir many; cd many; touch $(seq 3000)")
    found = listed(service)
    assert len([path for _, path in found if path.startswith(b"/many/")]) == 3000
    longest = max(len(path) for _, path in found)
    assert 3800 < longest <= 4096


def test_who_leaves_early_stops_the_look(service: Service, made: Images) -> None:
    base = made.add(import_tar(service, BASE))
    inside(made.prepare(base.id), "mkdir many; cd many; touch $(seq 20000 60000)")
    request = layer_pb2.ListChangesRequest(owner=OWNER)
    for _ in range(8):  # more than the threads that there are
        call = LayerServiceStub(service.channel).ListChanges(request, timeout=60)
        assert next(call).changes
        call.cancel()
    assert len(listed(service)) == 40_002


def test_an_owner_without_a_snapshot_is_refused(service: Service) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        listed(service, "container/nobody")
    with pytest.raises(errors.ImageNotFound):
        raise from_rpc_error(raised.value)
