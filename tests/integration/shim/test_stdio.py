"""Pipes, terminals, attached clients and the log."""

from __future__ import annotations

import time

import pytest

from scow.api.shim.v1 import shim_pb2 as pb
from scow.api.shim.v1 import spawner_pb2 as spawner_pb
from scow.contract.errors import ScowError
from tests.integration.shim.bundles import config
from tests.integration.shim.conftest import MakeBox
from tests.integration.shim.drive import reason
from tests.support.processes import PATIENCE, wait_for


def test_stdin_is_dev_null_unless_asked_for(box: MakeBox) -> None:
    result = box(config(args=["sh", "-c", "readlink /proc/self/fd/0; cat; echo end"])).run()
    assert result.text == "/dev/null\nend"


def test_a_megabyte_goes_in_and_out_unchanged(box: MakeBox) -> None:
    data = bytes(range(256)) * 4096
    container = box(config(args=["cat"])).spawn(stdin=True)
    attached = container.attach(stdin=True)
    container.start()
    for start in range(0, len(data), 60_000):
        attached.send(data[start : start + 60_000])
        if start == 60_000:
            attached.until(b"\0")
    container.attach(stdin=True)  # a second client that only looks on
    attached.close_stdin()
    wait_for(lambda: attached.step() and len(attached.out) >= len(data), "all of the data")
    assert attached.out == data


def test_stdin_once_ends_with_the_first_client(box: MakeBox) -> None:
    container = box(config(args=["cat"])).spawn(stdin=True, stdin_once=True)
    attached = container.attach(stdin=True)
    container.start()
    attached.send(b"abc")
    attached.close_stdin()
    result = attached.finish()
    assert (result.code, result.out) == (0, b"abc")


def test_without_stdin_once_input_stays_open(box: MakeBox) -> None:
    container = box(config(args=["head", "-n", "2"])).spawn(stdin=True)
    first, second = container.attach(stdin=True), container.attach(stdin=True)
    container.start()
    first.send(b"one\n")
    first.close_stdin()
    second.until(b"")
    wait_for(lambda: container.logged() == "" or True, "nothing")
    second.send(b"two\n")
    assert second.finish().code == 0


def test_several_clients_get_the_same_output(box: MakeBox) -> None:
    container = box(config(args=["seq", "20000"])).spawn()
    attached = [container.attach() for _ in range(3)]
    container.start()
    outputs = {each.finish().out for each in attached}
    assert outputs == {"".join(f"{n}\n" for n in range(1, 20001)).encode()}


def test_attaching_after_the_end_tells_the_exit(box: MakeBox) -> None:
    container = box(config(args=["sh", "-c", "exit 4"])).start()
    container.wait()
    try:
        code = container.attach().finish().code
    except OSError:  # the shim itself has ended by now
        code = container.recorded().code
    assert code == 4


def test_a_client_that_takes_nothing_does_not_stop_the_container(box: MakeBox) -> None:
    container = box(config(args=["sh", "-c", "yes $(seq 999) | head -c 20000000"])).spawn(log=None)
    stuck = container.attach()  # reads its first message and no more
    container.start()
    ended = container.wait()
    assert ended.code == 0
    with pytest.raises(ScowError) as raised:
        stuck.finish()
    assert reason(raised.value) == "LIMIT_EXCEEDED"


def test_output_of_the_last_moment_arrives(box: MakeBox) -> None:
    for _ in range(10):
        result = box(config(args=["sh", "-c", "seq 3000; echo last >&2"])).run()
        assert result.out.endswith(b"\n3000\n")
        assert result.err == b"last\n"


def test_a_terminal_of_the_asked_size(box: MakeBox) -> None:
    made = config(args=["sh", "-c", "stty size; tty; test -t 0 && test -t 1 && test -t 2"])
    made["process"].update(terminal=True, consoleSize={"height": 33, "width": 101})
    result = box(made).run()
    assert result.out.replace(b"\r", b"").split() == [b"33", b"101", b"/dev/pts/0"]
    assert (result.code, result.err) == (0, b"")


def test_resize_reaches_the_program(box: MakeBox) -> None:
    script = "trap 'stty size' WINCH; echo up; while :; do sleep 0.05; done"
    container = box(config(args=["sh", "-c", script], terminal=True)).spawn(stdin=True)
    container.stub.Resize(pb.ResizeRequest(size=pb.WindowSize(rows=10, columns=20)))
    attached = container.attach(stdin=True)
    container.start()
    attached.until(b"up")
    attached.resize(11, 22)
    attached.until(b"11 22")
    container.stub.Resize(pb.ResizeRequest(size=pb.WindowSize(rows=12, columns=24)))
    attached.until(b"12 24")


def test_a_size_before_the_start_counts(box: MakeBox) -> None:
    container = box(config(args=["stty", "size"], terminal=True)).spawn()
    container.stub.Resize(pb.ResizeRequest(size=pb.WindowSize(rows=10, columns=20)))
    attached = container.attach()
    container.start()
    assert attached.finish().out == b"10 20\r\n"


def test_control_c_on_a_terminal(box: MakeBox) -> None:
    container = box(config(args=["sh"], terminal=True)).spawn(stdin=True)
    attached = container.attach(stdin=True)
    container.start()
    attached.send(b"sleep 1000\n")
    attached.until(b"sleep 1000\r\n")
    time.sleep(0.3 * PATIENCE)
    attached.send(b"\x03")
    attached.send(b"echo $((6*7))\n")
    attached.until(b"42")
    attached.send(b"exit 9\n")
    assert attached.finish().code == 9


def test_resize_without_a_terminal_is_an_error(box: MakeBox) -> None:
    container = box(config(args=["sleep", "100"])).start()
    with pytest.raises(ScowError) as raised:
        container.stub.Resize(pb.ResizeRequest(size=pb.WindowSize(rows=1, columns=1)))
    assert raised.value.code_name == "FAILED_PRECONDITION"


def test_a_client_that_goes_away_leaves_the_terminal_alone(box: MakeBox) -> None:
    container = box(config(args=["sh"], terminal=True)).spawn(stdin=True)
    first = container.attach(stdin=True)
    container.start()
    first.send(b"echo $((6*7))\n")
    first.until(b"42")
    first.cancel()
    second = container.attach(stdin=True)
    second.send(b"echo $((7*8))\n")
    second.until(b"56")


def test_the_log_has_every_line_and_stream(box: MakeBox) -> None:
    script = "echo one; sleep 0.1; echo 'zw\u00f6lf \"quoted\"' >&2; printf unfinished"
    container = box(config(args=["sh", "-c", script]))
    container.run()
    records = container.records()
    assert [(r["stream"], r["log"]) for r in records] == [
        ("stdout", "one\n"),
        ("stderr", 'zw\u00f6lf "quoted"\n'),
        ("stdout", "unfinished"),
    ]
    times = [record["time"] for record in records]
    assert times == sorted(times)
    assert all(len(time) == 30 and time.endswith("Z") for time in times)


def test_the_log_is_rotated_and_capped(box: MakeBox) -> None:
    container = box(config(args=["seq", "5000"]))
    log = spawner_pb.ShimLog(path=str(container.log), max_size=20_000, max_files=3)
    container.run(log=log)
    files = [container.log, *(container.log.with_name(f"log.{n}") for n in (1, 2))]
    assert all(path.stat().st_size <= 20_000 for path in files)
    assert sorted(container.log.parent.glob("log*")) == sorted(files)
    assert container.records()[-1]["log"] == "5000\n"
    import json

    kept = [json.loads(line)["log"] for path in reversed(files) for line in path.open()]
    numbers = [int(text) for text in kept]
    assert numbers == list(range(numbers[0], 5001))


def test_no_log(box: MakeBox) -> None:
    container = box(config(args=["echo", "x"]))
    assert container.run(log=None).out == b"x\n"
    assert not container.log.exists()


def test_dev_stdout_can_be_opened_by_the_user(box: MakeBox) -> None:
    made = config(args=["sh", "-c", "echo out >/dev/stdout; echo err >/proc/self/fd/2"])
    made["process"]["user"] = {"username": "app"}
    result = box(made).run()
    assert (result.code, result.out, result.err) == (0, b"out\n", b"err\n")
