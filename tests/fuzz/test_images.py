"""Nearly valid layers, documents, references, instructions and headers: a result, or an error that is documented."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import targets
from tests.fuzz.mutations import documents, tars
from tests.fuzz.seeds import (
    ARCHIVES,
    CHANGES,
    CONFIGURATION,
    HEADERS,
    HOSTILE_CONFIGURATIONS,
    INDEX,
    MANIFEST,
    REFERENCES,
    SEEDS,
)
from tests.support.archives import tar

bounded = settings(
    derandomize=True,
    deadline=None,
    max_examples=400,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def spliced(texts: list[str]) -> st.SearchStrategy[bytes]:
    """Draw a text made of parts of others."""
    part = st.tuples(st.sampled_from(texts), st.integers(0, 40), st.integers(0, 40)).map(
        lambda drawn: drawn[0][min(drawn[1:]) : max(drawn[1:])]
    )
    odd = st.sampled_from([*" \"'\\=[],:/@\0\n\u2028\ud800-%"])
    return st.lists(part | odd | st.text(max_size=3), max_size=6).map(
        lambda parts: "".join(parts).encode("utf-8", "surrogatepass")
    )


@settings(bounded, max_examples=200)
@given(tars(SEEDS["layer"]))
def test_layers(data: bytes) -> None:
    targets.layer(data)


@settings(bounded, max_examples=100)
@given(st.binary(max_size=3000))
def test_noise(data: bytes) -> None:
    targets.layer(data)


@settings(bounded, max_examples=100)
@given(tars(SEEDS["archive"]))
def test_archives(data: bytes) -> None:
    targets.archive(data)


@settings(bounded, max_examples=100)
@given(documents([{"manifest.json": json.loads(ARCHIVES[0]["manifest.json"])}]))
def test_archives_of_docker(data: bytes) -> None:
    targets.archive(tar({**ARCHIVES[0], "manifest.json": data.partition(b": ")[2][:-1]}))


@settings(bounded, max_examples=100)
@given(documents([json.loads(ARCHIVES[1]["index.json"])]))
def test_layouts(data: bytes) -> None:
    targets.archive(tar({**ARCHIVES[1], "index.json": data}))


@bounded
@given(documents([MANIFEST, INDEX]))
def test_documents(data: bytes) -> None:
    targets.document(data)


@bounded
@given(documents([CONFIGURATION]))
def test_configurations(data: bytes) -> None:
    targets.configuration(data)


@bounded
@given(documents([CONFIGURATION, *HOSTILE_CONFIGURATIONS]))
def test_creates(data: bytes) -> None:
    targets.create(data)


@bounded
@given(spliced(REFERENCES))
def test_references(data: bytes) -> None:
    targets.reference(data)


@bounded
@given(spliced(CHANGES))
def test_changes(data: bytes) -> None:
    targets.change(data)


@bounded
@given(spliced(HEADERS))
def test_headers(data: bytes) -> None:
    targets.header(data)
