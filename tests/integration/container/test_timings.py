"""How long the parts of creations and starts took is on record, under the trace of the call."""

from scow.api.container.v1 import container_pb2 as pb
from tests.integration.container.node import Node, eventually

_TRACE = "0af7651916cd43dd8448eb211c80319c"


def names(found: pb.Container) -> list[str]:
    return [stage.name for stage in found.start_timings.stages]


def test_the_parts_of_a_creation_and_a_start(node: Node) -> None:
    made = node.create("sleep", "60")
    created = made.create_timings
    assert {stage.name for stage in created.stages} == {
        "snapshot",
        "volumes",
        "networks",
        "content",
    }
    assert max(stage.duration for stage in created.stages) <= created.duration
    node.stub.Start(
        pb.StartRequest(container=made.id),
        metadata=(("traceparent", f"00-{_TRACE}-b7ad6b7169203331-01"),),
    )
    found = node.get(made.id)
    parts = ["cleanup", "volumes", "bundle", "shim", "cgroup", "namespaces"]
    assert names(found) == [*parts, "network", "mounts", "exec"]
    timings = found.start_timings
    assert timings.trace_id == _TRACE
    assert all(stage.duration > 0 for stage in timings.stages)
    assert sum(stage.duration for stage in timings.stages) <= timings.duration
    assert timings.began_at.ToNanoseconds() <= found.started_at.ToNanoseconds()
    node.remove(made.id)


def test_they_outlive_the_service(node: Node) -> None:
    found = node.run_detached("sleep", "60")
    assert names(node.get(found.id))
    node.crash()
    assert names(node.get(found.id))
    node.remove(found.id)


def test_each_start_has_its_own(node: Node) -> None:
    found = node.run_detached("true")
    first = node.get(found.id).start_timings
    node.wait(found.id)
    eventually(lambda: node.get(found.id).status == pb.STATUS_EXITED)
    node.stub.Start(pb.StartRequest(container=found.id))
    again = node.get(found.id).start_timings
    assert again.began_at.ToNanoseconds() > first.began_at.ToNanoseconds()
    assert again.trace_id != first.trace_id
    node.remove(found.id)
