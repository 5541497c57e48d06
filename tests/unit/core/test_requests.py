import asyncio
from pathlib import Path

import pytest

from scow.api.volume.v1.volume_pb2 import CreateRequest, CreateResponse, Volume
from scow.contract.errors import NotFound, RequestIdReused
from scow.core.requests import Requests, remember
from scow.core.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "r.db", [])


class Counter:
    """A mutation that counts its calls."""

    def __init__(self, store: Store | None = None, fail: bool = False, stuck: bool = False) -> None:
        self.calls = 0
        self.store = store
        self.fail = fail
        self.stuck = stuck

    async def __call__(self) -> CreateResponse:
        self.calls += 1
        response = CreateResponse(volume=Volume(name=f"v{self.calls}"))
        if self.store:
            with self.store.transaction() as tx:
                remember(tx, response)
        if self.calls == 1 and self.stuck:
            await asyncio.Event().wait()
        await asyncio.sleep(0)  # others come in between
        if self.fail:
            raise NotFound("no")
        return response


async def test_the_same_id_returns_the_first_result_also_after_a_restart(tmp_path: Path) -> None:
    request = CreateRequest(request_id="r1", name="x")
    mutate = Counter()
    first = await Requests(Store.open(tmp_path / "r.db", [])).once(
        "Create", request, CreateResponse, mutate
    )
    again = await Requests(Store.open(tmp_path / "r.db", [])).once(
        "Create", request, CreateResponse, mutate
    )
    assert first == again
    assert mutate.calls == 1


async def test_concurrent_calls_run_once(store: Store) -> None:
    requests, mutate = Requests(store), Counter()
    request = CreateRequest(request_id="r1")
    results = await asyncio.gather(
        *(requests.once("Create", request, CreateResponse, mutate) for _ in range(5))
    )
    assert mutate.calls == 1
    assert all(r.volume.name == "v1" for r in results)


async def test_without_an_id_each_call_runs(store: Store) -> None:
    requests, mutate = Requests(store), Counter()
    for _ in range(2):
        await requests.once("Create", CreateRequest(), CreateResponse, mutate)
    assert mutate.calls == 2


async def test_another_request_with_the_id_is_refused(store: Store) -> None:
    requests, mutate = Requests(store), Counter()
    await requests.once("Create", CreateRequest(request_id="r", name="a"), CreateResponse, mutate)
    with pytest.raises(RequestIdReused):
        await requests.once(
            "Create", CreateRequest(request_id="r", name="b"), CreateResponse, mutate
        )


async def test_what_was_remembered_in_the_change_survives_a_failure_after_it(store: Store) -> None:
    """The process may die between the change's commit and the response."""
    requests = Requests(store)
    request = CreateRequest(request_id="r")
    with pytest.raises(NotFound):
        await requests.once("Create", request, CreateResponse, Counter(store, fail=True))
    mutate = Counter()
    response = await requests.once("Create", request, CreateResponse, mutate)
    assert (response.volume.name, mutate.calls) == ("v1", 0)


async def test_a_failure_is_tried_again(store: Store) -> None:
    requests, request = Requests(store), CreateRequest(request_id="r")
    with pytest.raises(NotFound):
        await requests.once("Create", request, CreateResponse, Counter(fail=True))
    mutate = Counter()
    await requests.once("Create", request, CreateResponse, mutate)
    assert mutate.calls == 1


async def test_a_waiting_duplicate_takes_over_from_a_cancelled_call(store: Store) -> None:
    requests, request = Requests(store), CreateRequest(request_id="r")
    mutate = Counter(stuck=True)
    first = asyncio.ensure_future(requests.once("Create", request, CreateResponse, mutate))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(requests.once("Create", request, CreateResponse, mutate))
    await asyncio.sleep(0)
    first.cancel()
    assert (await asyncio.wait_for(second, 2)).volume.name == "v2"


async def test_the_shell_makes_the_response_of_what_the_domain_tells(store: Store) -> None:
    requests, request = Requests(store), CreateRequest(request_id="r")

    async def call() -> str:
        with store.transaction() as tx:
            remember(tx, "v")
        return "v"

    def respond(name: str) -> CreateResponse:
        return CreateResponse(volume=Volume(name=name))

    for _ in range(2):
        made = await requests.once("Create", request, CreateResponse, call, respond)
        assert made.volume.name == "v"


async def test_an_empty_response_needs_no_words(store: Store) -> None:
    requests, request = Requests(store), CreateRequest(request_id="r")

    async def call() -> None:
        with store.transaction() as tx:
            remember(tx)

    for _ in range(2):
        assert await requests.once("Create", request, CreateResponse, call) == CreateResponse()


async def test_a_mutation_made_of_several_gives_its_own_response_again(store: Store) -> None:
    """A prune removes one after the other, and each removal remembers that it was done."""
    requests, request = Requests(store), CreateRequest(request_id="r")
    whole = CreateResponse(volume=Volume(name="all of them"))

    async def call() -> CreateResponse:
        for _ in range(2):
            with store.transaction() as tx:
                remember(tx)
        return whole

    for _ in range(2):
        assert await requests.once("Create", request, CreateResponse, call) == whole
