"""Lists of images: filters and pages, with a handful of queries for hundreds of images."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scow.api.image.v1 import image_pb2 as pb
from scow.api.types.v1.types_pb2 import Filter
from scow.contract.errors import InvalidFilter
from scow.core import filters as filter_rules
from scow.core.paging import PAGE_BYTES, descending, following, message_size, page
from scow.core.times import parse_moment
from scow.image.catalog.images import Images
from scow.image.metadata.tables import Image, ImageStore
from scow.image.oci.reference import DEFAULT_DOMAIN, Reference

_FILTERS = frozenset({"reference", "label", "dangling", "before", "since", "until"})
_PATTERN_MAX = 1024
# Images that are described at once.
_AT_ONCE = 500


@dataclass(frozen=True)
class Selection:
    """What a list shall have; see `ListRequest`."""

    filters: Sequence[Filter] = ()
    page_size: int = 0
    page_token: str = ""
    sizes: bool = False
    all: bool = False


class Lists:
    """Lists images.

    Args:
        rows: The tables.
        images: Who describes them.
    """

    def __init__(self, rows: ImageStore, images: Images) -> None:
        self._rows = rows
        self._images = images

    def select(self, asked: Selection) -> tuple[list[pb.Image], str]:
        """Return the images that meet the filters, the newest first, and the token of the next page.

        Raises:
            InvalidFilter, InvalidPageToken, ImageNotFound: See these classes.
        """
        wanted = filter_rules.parse(asked.filters, _FILTERS)
        _check_patterns(wanted.get("reference", ()))
        rows = following(self._in_time(wanted), asked.page_token, key=_key)
        if not asked.all:
            hidden = self._rows.in_indexes_only() | self._rows.transient_images()
            rows = [row for row in rows if row.id not in hidden]
        found: list[pb.Image] = []
        others = self._without_image(wanted) if asked.all and not asked.page_token else []
        total = 0
        for image in self._described(rows, asked.sizes):
            if _matches(image, wanted):
                found.append(image)
                total += message_size(image)
                if 0 < asked.page_size < len(found) or (total > PAGE_BYTES and len(found) > 1):
                    break
        # One more than the page was looked for, so `page` knows whether there is a next one.
        by_id = {row.id: row for row in rows}
        items, token = page(
            found,
            asked.page_size,
            "",
            key=lambda image: _key(by_id[image.id]),
            size=message_size,
        )
        return [*items, *others], token

    def _in_time(self, wanted: Mapping[str, list[str]]) -> list[Image]:
        newest = [self._images.find(value).created_ns for value in wanted.get("before", ())]
        newest += [parse_moment(value, "until") for value in wanted.get("until", ())]
        oldest = [self._images.find(value).created_ns for value in wanted.get("since", ())]
        return [
            image
            for image in self._rows.images()
            if all(image.created_ns < limit for limit in newest)
            and all(image.created_ns > limit for limit in oldest)
        ]

    def _described(self, rows: Sequence[Image], sizes: bool) -> Iterator[pb.Image]:
        for start in range(0, len(rows), _AT_ONCE):
            yield from self._images.describe_all(rows[start : start + _AT_ONCE], sizes=sizes)

    def _without_image(self, wanted: Mapping[str, list[str]]) -> list[pb.Image]:
        """Return an entry for each document with names but without an image for this machine."""
        found: dict[str, pb.Image] = {}
        for name in self._rows.names_without_image():
            entry = found.setdefault(name.manifest, pb.Image(id=name.manifest, shared_size=-1))
            entry.references.append(name.reference)
            entry.manifest_digest = name.manifest
        entries = [] if wanted.keys() & {"before", "since", "until"} else list(found.values())
        for entry in entries:
            entry.size = self._rows.size_of_parts(entry.id)
        return [entry for entry in entries if _matches(entry, wanted)]


def _check_patterns(patterns: Sequence[str]) -> None:
    """Refuse patterns longer than any reference: to compile one takes time by its length.

    Raises:
        InvalidFilter: There is one.
    """
    for pattern in patterns:
        if len(pattern) > _PATTERN_MAX:
            raise InvalidFilter(
                f"filter 'reference' has a pattern of {len(pattern)} characters",
                what="filter",
                which="reference",
                do=f"use at most {_PATTERN_MAX}",
            )


def _key(image: Image) -> str:
    return descending(image.created_ns, image.id)


def _matches(image: pb.Image, wanted: Mapping[str, list[str]]) -> bool:
    """Tell whether an image meets the filters; with "reference" it keeps only the references that fit."""
    for key, values in wanted.items():
        if key == "label" and not filter_rules.match_labels(image.config.labels, values):
            return False
        if key == "dangling" and not _dangles(image, filter_rules.boolean(key, values)):
            return False
    return "reference" not in wanted or _only_named(image, wanted["reference"])


def _dangles(image: pb.Image, wanted: bool) -> bool:
    """Tell whether an image is (not) dangling; one that has digests alone is both, as in Docker."""
    return not image.references if wanted else bool(image.references or image.repo_digests)


def _only_named(image: pb.Image, patterns: Sequence[str]) -> bool:
    """Leave of an image's references those that fit, and the digests that belong to them; tell whether any is left.

    Without a fitting reference, digests may fit by themselves: what was pulled by digest has no other name.
    """
    references = [name for name in image.references if fits(name, patterns)]
    repositories = {Reference.parse(name).repository for name in references}
    digests = [
        name
        for name in image.repo_digests
        if (name.partition("@")[0] in repositories if references else fits(name, patterns))
    ]
    image.ClearField("references")
    image.ClearField("repo_digests")
    image.references.extend(references)
    image.repo_digests.extend(digests)
    return bool(references or digests)


def fits(text: str, patterns: Sequence[str]) -> bool:
    """Tell whether one of the patterns fits a reference, with or without its tag or digest.

    As in Docker: a pattern is of the short name ("nginx", not "docker.io/library/nginx"), unless it starts with that
    registry itself, and its wildcards do not reach over a slash (Go's path.Match).
    """
    reference = Reference.parse(text)
    end = "@" if reference.digest else ":"
    short, long = (form.split("/") for form in (reference.familiar, text))
    for pattern in patterns:
        wanted = pattern.replace("[^", "[!").split("/")
        parts = long if wanted[0] == DEFAULT_DOMAIN else short
        if len(parts) != len(wanted):
            continue
        *path, last = wanted
        if not all(map(fnmatch.fnmatchcase, parts, path)):
            continue
        if any(
            fnmatch.fnmatchcase(form, last) for form in (parts[-1], parts[-1].rpartition(end)[0])
        ):
            return True
    return False
