"""ADD: what it has beyond COPY. URLs and git repositories are fetched, local archives unpacked."""

from __future__ import annotations

import os
from collections.abc import Sequence

from scow.build.attestation.provenance import without_credentials
from scow.build.context.files import FileTree
from scow.build.context.remote import Remotes
from scow.build.frontend.steps import CopyStep
from scow.build.frontend.transfers import is_git
from scow.build.graph import copy
from scow.build.graph.copy import Excluded, Selected, Selection
from scow.contract.errors import InvalidArgument


async def select(
    step: CopyStep, tree: FileTree, documents: FileTree, remotes: Remotes
) -> Selection:
    """Find what an ADD copies.

    Args:
        step: The step.
        tree: What its paths are in.
        documents: Its here-documents.
        remotes: Fetches and unpacks.

    Raises:
        ScowError: As of `copy.select` and `Remotes`.
    """
    found = copy.select(step, tree, documents)
    files, into = list(found.files), found.into
    excluded = Excluded(step.exclude)
    if step.unpacks is not False:
        files, unpacked = await _unpacked(step, tree, files, excluded, remotes)
        into = into or unpacked
    for url in step.remotes:
        added, is_directory = await _remote(step, url, excluded, remotes)
        files += added
        into = into or is_directory
    return Selection(tuple(files), into)


async def _unpacked(
    step: CopyStep,
    tree: FileTree,
    files: Sequence[Selected],
    excluded: Excluded,
    remotes: Remotes,
) -> tuple[list[Selected], bool]:
    """Put what archives have in their place, and tell whether there were some.

    Only files that the step itself names are archives, not those in directories that it names.
    """
    tops = [tree.resolve(top) for path in step.paths for top in copy.tops(tree, os.fsencode(path))]
    named = {entry.path for entry in tops if entry.is_file}
    found: list[Selected] = []
    any_unpacked = False
    for each in files:
        inside = None
        if each.tree is tree and each.entry.path in named:
            inside = await remotes.unpacked(tree, each.entry)
        if inside is None:
            found.append(each)
        else:
            found += copy.directory(inside, inside.entries[b""], b"", excluded)[1:]
            any_unpacked = True
    return found, any_unpacked


async def _remote(
    step: CopyStep, url: str, excluded: Excluded, remotes: Remotes
) -> tuple[list[Selected], bool]:
    """Return the files of a URL or repository, and whether they go into the destination."""
    if is_git(url):
        tree = await remotes.repository(
            url, keep_git_dir=bool(step.keeps_git_dir), checksum=step.checksum
        )
        return copy.directory(tree, tree.entries[b""], b"", excluded)[1:], True
    if not step.destination.endswith("/"):
        # The destination is the file's name, so the URL needs none.
        tree = await remotes.file_tree(url, step.checksum, default_name="file")
    else:
        tree = await remotes.file_tree(url, step.checksum)
    (name,) = tree.names(b"")
    entry = tree.entries[name]
    if not step.unpacks:
        return [Selected(name, entry, tree)], False
    inside = await remotes.unpacked(tree, entry)
    if inside is None:
        shown = without_credentials(url)[:200]
        raise InvalidArgument(
            f"{shown} is not an archive that can be unpacked",
            what="URL",
            which=shown,
            do="leave --unpack out",
        )
    return copy.directory(inside, inside.entries[b""], b"", excluded)[1:], True
