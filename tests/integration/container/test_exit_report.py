"""What is on record of a container's end: who asked, what it used, who had no memory."""

import signal

from scow.api.container.v1 import container_pb2 as pb
from tests.integration.container.node import Node, eventually
from tests.support import processes

_MB = 1 << 20


def ended(node: Node, found: pb.Container) -> pb.Container:
    node.wait(found.id)
    eventually(lambda: node.get(found.id).status == pb.STATUS_EXITED)
    return node.get(found.id)


def test_one_that_ended_by_itself(node: Node) -> None:
    found = node.run_detached(
        "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 3"
    )
    report = ended(node, found).exit_report
    assert (report.signal, report.oom_kills, report.oom_level) == (0, 0, "")
    assert report.cpu > 1_000_000
    assert 10_000 < report.peak_memory < 100 * _MB
    assert report.duration > report.cpu / 2
    assert not node.get(found.id).HasField("end_request")
    node.remove(found.id)


def test_who_asked_is_on_record(node: Node) -> None:
    found = node.run_detached("sleep", "60")
    node.stub.Stop(pb.StopRequest(container=found.id, timeout=0, request_id="because"))
    stopped = ended(node, found)
    asked = stopped.end_request
    assert (asked.action, asked.signal, asked.request_id) == ("stop", signal.SIGTERM, "because")
    assert asked.time.ToNanoseconds() <= stopped.finished_at.ToNanoseconds()
    assert stopped.exit_report.signal == signal.SIGKILL
    node.stub.Start(pb.StartRequest(container=found.id))
    again = node.get(found.id)
    assert not again.HasField("end_request")
    assert not again.HasField("exit_report")
    node.remove(found.id)


def test_a_signal_that_nobody_sent_through_the_engine(node: Node) -> None:
    found = node.run_detached("sleep", "60")
    processes.kill(found.pid)
    killed = ended(node, found)
    assert (killed.exit_report.signal, killed.HasField("end_request")) == (signal.SIGKILL, False)
    node.remove(found.id)


def test_the_container_s_own_limit_of_memory(node: Node) -> None:
    limits = pb.Resources(memory=16 * _MB, memory_swap=16 * _MB)
    found = node.run_detached("sh", "-c", "exec tail /dev/zero", resources=limits)
    report = ended(node, found).exit_report
    assert (report.oom_level, report.oom_victim) == ("container", "init")
    assert report.oom_kills == 1
    assert 12 * _MB < report.peak_memory <= 16 * _MB
    node.remove(found.id)


def test_another_process_is_the_victim(node: Node) -> None:
    limits = pb.Resources(memory=16 * _MB, memory_swap=16 * _MB)
    found = node.run_detached("sh", "-c", "tail /dev/zero; exit 5", resources=limits)
    found = ended(node, found)
    assert (found.exit_code, found.exit_report.oom_victim) == (5, "other")
    node.remove(found.id)


def test_the_limit_of_processes(node: Node) -> None:
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; exit 0"
    found = node.run_detached("sh", "-c", script, resources=pb.Resources(pids_limit=4))
    assert ended(node, found).exit_report.forks_refused >= 1
    node.remove(found.id)


def test_the_report_is_the_same_when_the_service_was_away(node: Node) -> None:
    found = node.run_detached("sh", "-c", "sleep 0.5; exit 3")
    node.stop("container")
    processes.wait_for(lambda: not processes.alive(found.pid), "the container's end")
    node.start("container")
    report = ended(node, found).exit_report
    assert report.peak_memory > 0
    assert report.duration >= 400_000_000
    node.remove(found.id)
