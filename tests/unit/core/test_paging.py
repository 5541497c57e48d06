import pytest

from scow.contract.errors import InvalidPageToken
from scow.core.paging import PAGE_BYTES, descending, page

NAMES = ["a", "b", "c", "d", "e"]


def test_pages_cover_the_list_once() -> None:
    seen: list[str] = []
    token = ""
    while True:
        items, token = page(NAMES, 2, token, key=str)
        seen += items
        if not token:
            break
    assert seen == NAMES


def test_pages_stay_right_while_items_go() -> None:
    _, token = page(NAMES, 2, "", key=str)
    rest, _ = page(["a", "d", "e"], 2, token, key=str)
    assert list(rest) == ["d", "e"]


@pytest.mark.parametrize("token", ["%%%", "é", "_w=="])
def test_a_foreign_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidPageToken):
        page(NAMES, 2, token, key=str)


def test_newest_first_keys_ascend() -> None:
    assert descending(20, "x") < descending(10, "x") < descending(0, "x")


def test_a_page_ends_before_its_message_is_too_large() -> None:
    names = [letter * (1 << 20) for letter in "abcdefghij"]
    seen: list[str] = []
    token = ""
    while True:
        items, token = page(names, 0, token, key=lambda name: name[0], size=len)
        assert sum(map(len, items)) <= PAGE_BYTES
        seen += items
        if not token:
            break
    assert seen == names


def test_a_page_has_an_item_of_any_size() -> None:
    names = [letter * (PAGE_BYTES + 1) for letter in "ab"]
    items, token = page(names, 0, "", key=lambda name: name[0], size=len)
    assert list(items) == names[:1]
    assert page(names, 0, token, key=lambda name: name[0], size=len) == (names[1:], "")
