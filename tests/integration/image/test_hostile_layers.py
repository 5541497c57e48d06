"""Every layer of the corpus, in every form that layers are kept in: the same trees, the same errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scow.contract.errors import ScowError
from tests.support.layers import CORPUS
from tests.support.layers.case import Accepted, Refused, as_expected, read_tree
from tests.support.layers.forms import Form, Indexed, IndexedApart, Unpacked, UnpackedApart

FORMS: dict[str, Callable[[], Form]] = {"unpacked": Unpacked, "indexed": Indexed}
# A worker process ends with each error, so that starting them would take most of the time: some of each part.
APART = [name for name in CORPUS if "levels" not in name][::15]


@pytest.fixture(scope="module", params=FORMS)
def form(request: pytest.FixtureRequest) -> Iterator[Form]:
    made = FORMS[request.param]()
    yield made
    made.close()


@pytest.fixture(scope="module", params=[UnpackedApart, IndexedApart])
def apart(request: pytest.FixtureRequest) -> Iterator[Form]:
    made: Form = request.param()
    yield made
    made.close()


def check(form: Form, base: Path, name: str) -> None:
    """Let a form take a case, and compare; nothing may be made elsewhere or be left."""
    case = CORPUS[name]
    outside = base / "outside"
    outside.write_text("untouched")
    inside = base / "inside"
    inside.mkdir()
    if isinstance(case.expect, Refused):
        with pytest.raises(ScowError) as caught, form.layer(case.make(), inside):
            pass
        assert type(caught.value) is case.expect.error
        assert caught.value.which == case.expect.entry
        assert case.expect.words in caught.value.message
        assert caught.value.metadata["do"]
    else:
        with form.layer(case.make(), inside) as folder:
            if not isinstance(case.expect, Accepted):
                found = read_tree(os.fspath(folder))
                assert as_expected(found, case.expect) == case.expect
    assert sorted(base.rglob("*")) == [inside, outside]
    assert (outside.read_text(), outside.stat().st_nlink) == ("untouched", 1)


@pytest.mark.parametrize("name", CORPUS)
def test_layer(form: Form, tmp_path: Path, name: str) -> None:
    check(form, tmp_path, name)


@pytest.mark.parametrize("name", APART)
def test_layer_in_a_process_of_its_own(apart: Form, tmp_path: Path, name: str) -> None:
    check(apart, tmp_path, name)
