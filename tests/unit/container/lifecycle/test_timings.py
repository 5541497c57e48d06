"""How parts are timed, with those that the shim has timed taken off."""

from scow.api.shim.v1.spawner_pb2 import Stage
from scow.container.lifecycle.timings import Stopwatch


def test_parts_of_the_shim_come_after_what_remains() -> None:
    watch = Stopwatch()
    with watch.part("shim") as parts:
        parts += [Stage(name="cgroup", duration=10**15), Stage(name="namespaces", duration=2)]
    with watch.part("exec", last=True) as parts:
        parts += [Stage(name="mounts", duration=3), Stage(name="exec", duration=4)]
    told: dict[str, float] = {}
    found = watch.stop(told.__setitem__)
    assert [each.name for each in found.stages] == [
        "shim",
        "cgroup",
        "namespaces",
        "mounts",
        "exec",
    ]
    assert [each.duration for each in found.stages][:4] == [0, 10**15, 2, 3]
    assert found.stages[4].duration > 4, "the way back counts"
    assert told.keys() == {"shim", "cgroup", "namespaces", "mounts", "exec", "total"}
    assert len(found.trace_id) == 32
