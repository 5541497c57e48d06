"""What can be wrong with an archive, as the worker finds it; the service's side makes typed errors of it."""

from __future__ import annotations

# Names may be a megabyte long; what is wrong must fit into a message.
_ENTRY_MAX = 255


class Fault(Exception):
    """Something is wrong with the archive or with the place it goes to.

    Args:
        kind: One of the constants below.
        message: One sentence.
        entry: Name of the entry, as far as there is one; a long one is shown by its beginning.
    """

    def __init__(self, kind: str, message: str, entry: bytes = b"") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        shown = entry if len(entry) <= _ENTRY_MAX else entry[:_ENTRY_MAX] + b"..."
        self.entry = shown.decode("utf-8", "backslashreplace")

    def about(self, entry: bytes) -> Fault:
        """Return the fault with the name of the entry that was being read, if it has none."""
        return self if self.entry else Fault(self.kind, self.message, entry)


# Cannot be decompressed, is cut short, or is not a tar.
CORRUPT = "corrupt"
# An entry that reaches outside of the archive's root, or that has no meaning.
HOSTILE = "hostile"
# A device node where none is taken.
DEVICE = "device"
# More bytes or entries than the configuration allows.
LIMIT = "limit"
# No space left.
DISK_FULL = "disk_full"
# The kernel refused something that the archive may ask for.
REFUSED = "refused"


def corrupt(message: str, entry: bytes = b"") -> Fault:
    """Return the fault of bytes that are neither a tar nor gzip."""
    return Fault(CORRUPT, message, entry)


def hostile(message: str, entry: bytes) -> Fault:
    """Return the fault of an entry that must not be unpacked."""
    return Fault(HOSTILE, message, entry)
