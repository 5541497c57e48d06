"""What a client does with what a build sends."""

from __future__ import annotations

import pytest

from scow.api.build.v1 import build_pb2 as pb
from scow.client._async.builds import _add_caches
from scow.client._context import Answers
from scow.contract.errors import DataLoss


def output(chunk: bytes = b"", *, last: bool = False) -> pb.BuildResponse:
    return pb.BuildResponse(output=pb.BuildResponse.OutputChunk(output=1, chunk=chunk, last=last))


def told(answers: Answers, response: pb.BuildResponse) -> None:
    """Tell of an output, which has no answer."""
    assert list(answers.to(response) or ["none"]) == []


def test_an_output_without_its_end_is_no_success() -> None:
    answers = Answers({}, {}, lambda registry: None, {})
    taken = bytearray()
    answers.outputs = {1: taken.extend}
    told(answers, output(b"half"))
    result = pb.BuildResponse(result=pb.BuildResult())
    with pytest.raises(DataLoss):
        answers.to(result)
    told(answers, output(b" and half"))
    told(answers, output(last=True))
    assert answers.to(result) is None
    assert taken == b"half and half"


@pytest.mark.parametrize("ignored", [False, True])
def test_a_cache_that_the_service_could_not_write(ignored: bool) -> None:
    answers = Answers({}, {}, lambda registry: None, {})
    to = "type=local,dest=/nowhere" + (",ignore-error=true" if ignored else "")
    _add_caches(answers, pb.BuildOptions(cache_to=[to]))
    result = pb.BuildResponse(result=pb.BuildResult())
    if ignored:
        assert answers.to(result) is None
    else:
        with pytest.raises(DataLoss):
            answers.to(result)
