"""Pages of lists. A token holds the key of the last item, so pages stay right while items come and go."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from scow.contract.errors import InvalidPageToken

Item = TypeVar("Item")


def page(
    items: Sequence[Item],
    page_size: int,
    page_token: str,
    key: Callable[[Item], str],
) -> tuple[Sequence[Item], str]:
    """Return one page and the token of the next, empty on the last page.

    Args:
        items: All items, in ascending order of `key`.
        page_size: At most this many; 0 means all.
        page_token: From the preceding page, or empty.
        key: A string, unique for each item, by which `items` is sorted. For a descending list give a key
            that ascends all the same (see `descending`).

    Raises:
        InvalidPageToken: A token that was not made here.
    """
    if page_token:
        after = _decode(page_token)
        items = [item for item in items if key(item) > after]
    if page_size <= 0 or len(items) <= page_size:
        return items, ""
    chosen = items[:page_size]
    return chosen, base64.urlsafe_b64encode(key(chosen[-1]).encode()).decode()


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
