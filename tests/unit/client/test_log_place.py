"""Going on with a log after the service restarted: records of one moment are neither repeated nor left out."""

from __future__ import annotations

import pytest

from scow.api.container.v1.container_pb2 import LogRecords, LogsRequest, LogsResponse
from scow.client._log_place import LogPlace, single_records

LOG = [(1, "a"), (2, "b"), (2, "c"), (2, "d"), (2, "e"), (3, "f"), (4, "g"), (4, "h")]


def response(records: list[tuple[int, str]], *, single: bool = False) -> LogsResponse:
    if single:
        ((moment, text),) = records
        answer = LogsResponse(stdout=text.encode())
        answer.time.FromNanoseconds(moment)
        return answer
    return LogsResponse(
        batch=[
            LogRecords(
                data="".join(text for _, text in records).encode(),
                sizes=[1] * len(records),
                times=[moment for moment, _ in records],
            )
        ]
    )


def texts(batch: list[LogRecords]) -> str:
    return b"".join(records.data for records in batch).decode()


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("cut", range(len(LOG) + 1))
@pytest.mark.parametrize("step", [1, 2, 3, 8])
def test_a_cut_anywhere_loses_and_repeats_nothing(cut: int, step: int, single: bool) -> None:
    request = LogsRequest(tail=100)
    place = LogPlace(request)
    step = 1 if single else step
    found = "".join(
        texts(place.advance(response(LOG[at : min(at + step, cut)], single=single)))
        for at in range(0, cut, step)
    )
    again = place.resume()
    assert again.HasField("tail") == (cut == 0)
    rest = [record for record in LOG if record[0] >= again.since.ToNanoseconds()]
    for at in range(0, len(rest), step):
        found += texts(place.advance(response(rest[at : at + step], single=single)))
    assert found == "abcdefgh"


def test_records_that_were_rotated_away_meanwhile_are_not_waited_for() -> None:
    place = LogPlace(LogsRequest())
    place.advance(response(LOG[:4]))
    place.resume()
    assert texts(place.advance(response([(3, "f"), (4, "g")]))) == "fg"


def test_single_records() -> None:
    batch = [
        LogRecords(data=b"one\ntwo\n", sizes=[4, 4], times=[1, 2]),
        LogRecords(stderr=True, data=b"err\n", sizes=[4], times=[3]),
    ]
    found = [(r.time.ToNanoseconds(), r.stdout, r.stderr) for r in single_records(batch)]
    assert found == [(1, b"one\n", b""), (2, b"two\n", b""), (3, b"", b"err\n")]
