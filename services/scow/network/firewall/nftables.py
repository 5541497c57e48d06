"""nftables by libnftables, in its JSON (libnftables(3), libnftables-json(5)): 0.4 ms a transaction."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Sequence
from typing import Any

from scow.contract.errors import KernelUnsupported

_LIBRARY = "libnftables.so.1"
# NFT_CTX_OUTPUT_JSON of nftables/libnftables.h.
_OUTPUT_JSON = 1 << 4

Command = dict[str, Any]


class Nftables:
    """A context of libnftables. Used by one thread at a time.

    Raises:
        KernelUnsupported: The library is not installed.
    """

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise KernelUnsupported(
                f"{_LIBRARY} cannot be loaded: {error}",
                what="library",
                which=_LIBRARY,
                do="install it (Debian: libnftables1)",
            ) from error
        self._declare()
        self._context = self._library.nft_ctx_new(0)
        self._library.nft_ctx_output_set_flags(self._context, _OUTPUT_JSON)
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def _declare(self) -> None:
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        for name, result, arguments in (
            ("nft_ctx_new", pointer, [ctypes.c_uint32]),
            ("nft_ctx_free", None, [pointer]),
            ("nft_ctx_output_set_flags", None, [pointer, ctypes.c_uint]),
            ("nft_ctx_buffer_output", ctypes.c_int, [pointer]),
            ("nft_ctx_buffer_error", ctypes.c_int, [pointer]),
            ("nft_ctx_get_output_buffer", text, [pointer]),
            ("nft_ctx_get_error_buffer", text, [pointer]),
            ("nft_run_cmd_from_buffer", ctypes.c_int, [pointer, text]),
        ):
            function = getattr(self._library, name)
            function.restype = result
            function.argtypes = arguments

    def close(self) -> None:
        """Free the context."""
        if self._context:
            self._library.nft_ctx_free(self._context)
            self._context = None

    def run(self, commands: Sequence[Command]) -> None:
        """Apply commands in one transaction: all of them or none.

        Raises:
            KernelUnsupported: Refused; the message has the kernel's words.
        """
        self._run(commands)

    def list_table(self, family: str, name: str) -> list[Command] | None:
        """Return what a table holds, or None when there is no such table."""
        command = {"list": {"table": {"family": family, "name": name}}}
        try:
            answer = self._run([command])
        except KernelUnsupported as error:
            if "No such file" in error.message:
                return None
            raise
        listed: list[Command] = answer["nftables"]
        return listed

    def list_tables(self) -> set[tuple[str, str]]:
        """Return family and name of all tables."""
        answer = self._run([{"list": {"tables": {}}}])
        tables = [entry["table"] for entry in answer["nftables"] if "table" in entry]
        return {(table["family"], table["name"]) for table in tables}

    def list_chains(self) -> list[Command]:
        """Return the heads of all chains of all tables: family, table, name, hook, policy."""
        answer = self._run([{"list": {"chains": {}}}])
        return [entry["chain"] for entry in answer["nftables"] if "chain" in entry]

    def _run(self, commands: Sequence[Command]) -> Any:
        text = json.dumps({"nftables": list(commands)}).encode()
        code = self._library.nft_run_cmd_from_buffer(self._context, text)
        output = self._library.nft_ctx_get_output_buffer(self._context)
        errors = self._library.nft_ctx_get_error_buffer(self._context).decode(errors="replace")
        if code != 0:
            words = " ".join(errors.split()) or "no reason given"
            raise KernelUnsupported(
                f"nftables refused a change: {words}",
                what="nftables",
                which=words,
                do="see that the modules nf_tables, nft_chain_nat, nft_masq and nft_fib_ipv4 can be loaded",
            )
        return json.loads(output) if output else {}
