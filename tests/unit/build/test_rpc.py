"""What the client of a build is told."""

from __future__ import annotations

from pathlib import Path

from scow.api.build.v1 import build_pb2 as pb
from scow.build.context.session import Session
from scow.build.history.builds import Running
from scow.build.history.events import EventLog
from scow.build.history.progress import Progress
from scow.build.rpc import _told


class Silent:
    """A client that says nothing."""

    def __aiter__(self) -> Silent:
        return self

    async def __anext__(self) -> pb.BuildRequest:
        raise StopAsyncIteration


async def test_the_end_of_an_output_is_sent_however_slow_the_client_is(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events")
    session = Session(Silent())
    told = _told(session, Running(pb.BuildRecord(), log, Progress(log)))
    log.append(pb.BuildEvent())
    assert (await anext(told)).HasField("event")
    # While the client takes the event, the build puts its last pieces and ends.
    for number in range(7):
        chunk = pb.BuildResponse.OutputChunk(chunk=b"%d" % number)
        await session.send(pb.BuildResponse(output=chunk))
    last = pb.BuildResponse.OutputChunk(last=True)
    await session.send(pb.BuildResponse(output=last))
    log.end()
    rest = [response.output async for response in told]
    assert b"".join(each.chunk for each in rest) == b"0123456"
    assert [each.last for each in rest] == [False] * 7 + [True]
