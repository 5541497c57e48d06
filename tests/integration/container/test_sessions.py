"""Attach, exec and logs, relayed between a client and a shim."""

import time
from typing import Any

from scow.api.container.v1 import container_pb2 as pb
from scow.contract.errors import (
    CommandNotFound,
    ContainerNotRunning,
    ExecNotFound,
    InvalidArgument,
    InvalidConfig,
)
from tests.integration.container.node import Node, eventually, fails, in_background
from tests.support.processes import PATIENCE


def attach(node: Node, container: str, *more: pb.AttachRequest, **fields: Any) -> tuple[int, bytes]:
    fields = {"stdout": True, "stderr": True, **fields}
    opened = pb.AttachRequest.Open(container=container, **fields)
    code, output = -1, b""
    for response in node.stub.Attach(
        iter([pb.AttachRequest(open=opened), *more]), timeout=60 * PATIENCE
    ):
        output += response.stdout or response.stderr
        if response.HasField("exit"):
            code = response.exit.code
    return code, output


def test_attach_with_start_misses_no_output(node: Node) -> None:
    for _ in range(5):
        container = node.create("sh", "-c", "echo out; echo err >&2; exit 4")
        code, output = attach(node, container.id, start=True)
        assert code == 4
        assert sorted(output.split()) == [b"err", b"out"]
        assert node.get(container.id).exit_code == 4
        node.remove(container.id)


def test_a_container_that_removes_itself_is_gone_when_attach_ends(node: Node) -> None:
    for _ in range(5):
        container = node.create("true", name="selfish", auto_remove=True)
        assert attach(node, container.id, start=True) == (0, b"")
        assert not node.stub.List(pb.ListRequest(all=True)).containers


def test_much_output_arrives_whole(node: Node) -> None:
    container = node.create("sh", "-c", "yes 0123456789 | head -n 200000")
    code, output = attach(node, container.id, start=True)
    assert code == 0
    assert output == b"0123456789\n" * 200_000
    node.remove(container.id)


def test_input(node: Node) -> None:
    container = node.create("cat", stdin_open=True, stdin_once=True)
    code, output = attach(
        node,
        container.id,
        pb.AttachRequest(stdin=b"one\n"),
        pb.AttachRequest(stdin=b"two\n"),
        pb.AttachRequest(close_stdin=True),
        start=True,
        stdin=True,
    )
    assert (code, output) == (0, b"one\ntwo\n")
    node.remove(container.id)


def test_a_terminal_has_the_size_of_the_window(node: Node) -> None:
    container = node.create("stty", "size", tty=True)
    size = pb.WindowSize(rows=33, columns=101)
    code, output = attach(node, container.id, start=True, window_size=size)
    assert (code, output) == (0, b"33 101\r\n")
    node.remove(container.id)


def test_attach_fails_as_start_does(node: Node) -> None:
    container = node.create("/nothing")
    began = time.monotonic()
    with fails(CommandNotFound):
        attach(node, container.id, start=True)
    assert time.monotonic() - began < 5 * PATIENCE
    assert node.get(container.id).exit_code == 127
    node.remove(container.id)


def test_attach_to_what_does_not_run(node: Node) -> None:
    container = node.create("true")
    with fails(ContainerNotRunning):
        attach(node, container.id)
    with fails(InvalidArgument):
        list(node.stub.Attach(iter([pb.AttachRequest(stdin=b"x")])))
    with fails(InvalidArgument):
        list(node.stub.Attach(iter([])))
    node.remove(container.id)


def test_several_clients_and_one_that_goes_away(node: Node) -> None:
    container = node.run_detached("sh", "-c", "read x; echo got $x", stdin_open=True)
    leaver = node.stub.Attach(
        iter([pb.AttachRequest(open=pb.AttachRequest.Open(container=container.id, stdout=True))])
    )
    assert next(leaver).attached
    watcher = node.stub.Attach(
        iter([pb.AttachRequest(open=pb.AttachRequest.Open(container=container.id, stdout=True))]),
        timeout=60 * PATIENCE,
    )
    assert next(watcher).attached
    leaver.cancel()
    writer = attach(node, container.id, pb.AttachRequest(stdin=b"it\n"), stdin=True)
    assert writer == (0, b"got it\n")
    *output, last = watcher
    assert b"".join(response.stdout for response in output) == b"got it\n"
    assert last.exit.code == 0
    node.remove(container.id)


def test_attach_with_logs_shows_what_was_before(node: Node) -> None:
    container = node.run_detached("sh", "-c", "echo before; read x; echo after", stdin_open=True)
    eventually(lambda: node.logs(container.id) == "before\n")
    code, output = attach(node, container.id, pb.AttachRequest(stdin=b"\n"), logs=True, stdin=True)
    assert (code, output) == (0, b"before\nafter\n")
    node.remove(container.id)


def test_exec(node: Node) -> None:
    container = node.run_detached(
        "sleep", "60", env=["A=container"], working_dir="/tmp", hostname="h1"
    )
    assert node.exec(
        container.id, "sh", "-c", "echo $A $B $(pwd) $HOSTNAME; exit 7", env=["B=exec"]
    ) == (
        7,
        "container exec /tmp h1\n",
    )
    assert node.exec(container.id, "id", "-u", user="app") == (0, "1000\n")
    assert node.exec(container.id, "pwd", working_dir="/etc") == (0, "/etc\n")
    assert node.exec(container.id, "wc", "-c", stdin=b"12345") == (0, "5\n")
    assert node.exec(container.id, "tty", tty=True)[1].startswith("/dev/pts/")
    with fails(CommandNotFound):
        node.exec(container.id, "nothing")
    with fails(InvalidConfig):
        node.exec(container.id)
    assert node.exec(container.id, "true")[0] == 0
    node.remove(container.id)


def test_detached_exec_sessions_are_recorded(node: Node) -> None:
    container = node.run_detached("sleep", "60")
    config = pb.ExecConfig(args=["sh", "-c", "sleep 0.5; exit 8"])
    opened = pb.ExecRequest.Open(container=container.id, config=config, detach=True)
    [response] = node.stub.Exec(iter([pb.ExecRequest(open=opened)]))
    exec_id = response.started.exec_id
    request = pb.GetExecRequest(container=container.id, exec_id=exec_id)
    assert node.stub.GetExec(request).running
    assert list(node.get(container.id).exec_ids) == [exec_id]
    node.crash()
    eventually(lambda: not node.stub.GetExec(request).running)
    assert node.stub.GetExec(request).exit_code == 8
    eventually(lambda: not node.get(container.id).exec_ids)
    with fails(ExecNotFound):
        node.stub.GetExec(pb.GetExecRequest(container=container.id, exec_id="0"))
    node.remove(container.id)


def test_an_exec_ends_with_its_container(node: Node) -> None:
    container = node.run_detached("sleep", "60")
    session = in_background(node.exec, container.id, "sleep", "60")
    eventually(lambda: node.get(container.id).exec_ids)
    node.stub.Kill(pb.KillRequest(container=container.id))
    assert session.result(10 * PATIENCE) == (137, "")
    node.remove(container.id)


def test_following_a_log_across_rotations(node: Node) -> None:
    log = pb.LogConfig(options={"max-size": "100k", "max-file": "3"})
    container = node.create(
        "sh", "-c", "for i in $(seq 1000); do echo $i; sleep 0.001; done", log=log
    )
    node.stub.Start(pb.StartRequest(container=container.id))
    lines = node.logs(container.id, follow=True).split()
    assert lines == [str(n) for n in range(1, 1001)]
    assert node.logs(container.id, tail=3).split() == ["998", "999", "1000"]
    node.remove(container.id)


def test_logs_by_time(node: Node) -> None:
    container = node.run_detached("sh", "-c", "echo a; sleep 0.3; echo b")
    node.wait(container.id)
    records = list(node.stub.Logs(pb.LogsRequest(container=container.id)))
    assert [r.stdout for r in records] == [b"a\n", b"b\n"]
    assert node.logs(container.id, since=records[1].time) == "b\n"
    assert node.logs(container.id, until=records[0].time) == "a\n"
    node.remove(container.id)
