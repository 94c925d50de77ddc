"""A piece of Lua code with a name, compiled once in each Lua state that runs it."""

from __future__ import annotations

import os
from typing import final

_BYTECODE_MARK = b"\x1b"  # the first byte of every compiled Lua chunk, on all implementations


@final
class Chunk:
    """
    A piece of Lua code with a name.

    Make it once and submit it many times: each Lua state compiles it on first use and keeps it.
    ``...`` in the code is the arguments of the task.

    Args:
        source: Lua source. ``bytes`` are taken as they are, ``str`` is encoded as UTF-8. Compiled
            Lua (bytecode) is refused: it can crash the process.
        name: the name that Lua shows in messages, as in ``wordcount:3: ...``. By default it is
            the first line of the source, in Lua's notation ``[string "..."]``.

    Raises:
        TypeError: `source` is neither ``str`` nor ``bytes``, or `name` is no ``str``.
        ValueError: `source` is bytecode.
    """

    __slots__ = ("chunkname", "source")

    source: bytes
    """The Lua source."""

    chunkname: bytes
    """The name in the notation of Lua's ``load``: ``=`` or ``@`` and a name, or source text."""

    def __init__(self, source: str | bytes, name: str | None = None) -> None:
        if isinstance(source, str):
            source = source.encode()
        elif not isinstance(source, bytes):
            raise TypeError(f"a chunk's source is str or bytes, not {type(source).__name__}")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"a chunk's name is str, not {type(name).__name__}")
        if source.startswith(_BYTECODE_MARK):
            raise ValueError("a chunk is Lua source; bytecode is refused")
        self.source = source
        self.chunkname = source if name is None else b"=" + name.encode()

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Chunk:
        """
        Read a chunk from a Lua file, now.

        A first line that begins with ``#`` (``#!/usr/bin/lua``) is passed over, as the ``lua``
        command does. Messages name the file as it is given here.

        Args:
            path: the file's path.

        Returns:
            The chunk.

        Raises:
            TypeError: `path` is no path.
            OSError: the file cannot be read.
            ValueError: the file holds bytecode.
        """
        path = os.fspath(path)  # open() would take a file descriptor for a path, and close it.
        with open(path, "rb") as file:
            source = file.read()
        if source.startswith(b"#"):
            # A comment in its place keeps the line numbers right.
            source = b"--" + source
        chunk = cls(source)
        chunk.chunkname = b"@" + os.fsencode(path)
        return chunk

    def __repr__(self) -> str:
        if self.chunkname == self.source:
            first, newline, _ = self.source.decode(errors="replace").partition("\n")
            return f"<Chunk {first + '...' if newline else first!r}>"
        return f"<Chunk {self.chunkname[1:].decode(errors='replace')!r}>"
