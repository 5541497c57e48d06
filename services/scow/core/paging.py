"""Pages of lists. A token holds the key of the last item, so pages stay right while items come and go.

A page ends where the caller says, and before its message grows beyond PAGE_BYTES: a few objects with long labels and
environments would otherwise make an answer that nobody can receive, and so take the list from everybody.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from google.protobuf.message import Message

from scow.contract.errors import InvalidPageToken

Item = TypeVar("Item")

# Bytes of the items of one page; a single item may have more.
PAGE_BYTES = 4 << 20


def page(
    items: Sequence[Item],
    page_size: int,
    page_token: str,
    key: Callable[[Item], str],
    size: Callable[[Item], int] = lambda _: 0,
) -> tuple[Sequence[Item], str]:
    """Return one page and the token of the next, empty on the last page. A page has at least one item.

    Args:
        items: All items, in ascending order of `key`.
        page_size: At most this many; 0 means as many as fit.
        page_token: From the preceding page, or empty.
        key: A string, unique for each item, by which `items` is sorted. For a descending list give a key
            that ascends all the same (see `descending`).
        size: Bytes that an item takes in the response.

    Raises:
        InvalidPageToken: A token that was not made here.
    """
    items = following(items, page_token, key)
    count = min(page_size, len(items)) if page_size > 0 else len(items)
    total = 0
    for number, item in enumerate(items[:count]):
        total += size(item)
        if total > PAGE_BYTES and number:
            count = number
            break
    if count == len(items):
        return items, ""
    chosen = items[:count]
    return chosen, base64.urlsafe_b64encode(key(chosen[-1]).encode()).decode()


def following(items: Sequence[Item], page_token: str, key: Callable[[Item], str]) -> Sequence[Item]:
    """Return the items after the page that a token is from; see `page`."""
    if not page_token:
        return items
    after = _decode(page_token)
    return [item for item in items if key(item) > after]


def message_size(message: Message) -> int:
    """Return the bytes that a message takes in a repeated field: its own, a tag and a length."""
    return message.ByteSize() + 6


def descending(ns: int, identity: str) -> str:
    """Return a key that ascends as times descend: for lists with the newest first."""
    return f"{(1 << 63) - ns:020d}/{identity}"


def _decode(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise InvalidPageToken(
            f"page token {token!r} is not valid",
            what="page token",
            which=token,
            do="use next_page_token of the page before",
        ) from error
