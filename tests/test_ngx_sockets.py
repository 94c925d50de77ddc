"""``ngx.socket``: OpenResty's cosockets in tasks. What is expected here is what nginx does."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import subprocess
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from threadpool_lua import Chunk, LuaError, ThreadPool

from .conftest import required
from .helpers import until
from .test_values_any import examples

Play = Callable[[StreamReader, StreamWriter], Awaitable[None]]

ALL_LUAS = ["luajit21", "luajit20", "lua51", "lua52", "lua53", "lua54", "lua55"]


class Servers:
    """Servers on the test's own loop. Each plays its part for every connection that is made."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0

    async def start(self, play: Play, **options: Any) -> int:
        """Start one, and return its port."""

        async def connected(reader: StreamReader, writer: StreamWriter) -> None:
            self.connections += 1
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await play(reader, writer)
            writer.close()

        def begin(reader: StreamReader, writer: StreamWriter) -> None:
            task = asyncio.ensure_future(connected(reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        if "path" in options:
            server = await asyncio.start_unix_server(begin, **options)
            self._servers.append(server)
            return 0
        server = await asyncio.start_server(begin, "127.0.0.1", 0, **options)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await until(lambda: not self._tasks)


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    servers = Servers()
    yield servers
    await servers.stop()


def sends(*pieces: bytes) -> Play:
    """Play a server that sends this, piece by piece, and no more."""

    async def play(reader: StreamReader, writer: StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.write_eof()
        await reader.read()

    return play


async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    """Play a server that sends every line back."""
    while line := await reader.readline():
        writer.write(line)


async def silence(reader: StreamReader, _: StreamWriter) -> None:
    """Play a server that says nothing."""
    await reader.read()


async def reset(_: StreamReader, writer: StreamWriter) -> None:
    """Play a server that resets the connection."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def connected(code: str) -> Chunk:
    """Return a chunk that gets a port, connects `s` to it, and goes on with the code."""
    return Chunk(
        "local port = ... local s = ngx.socket.tcp() s:settimeout(10000) "
        "assert(s:connect('127.0.0.1', port)) "
        # Several results of one call as a list, in which nil is null.
        "local function all(...) local list = { ... } "
        "for i = 1, select('#', ...) do if list[i] == nil then list[i] = null end end "
        "return list end " + code
    )


class TestReading:
    async def test_lines(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(sends(b"ab\r\nc\rd\n", b"\ne\rf"))
        code = connected("local t = {} for i = 1, 5 do t[i] = all(s:receive()) end return t")

        lines = await pool.submit(code, port)

        assert lines == [["ab"], ["cd"], [""], [None, "closed", "ef"], [None, "closed"]]

    async def test_so_many_bytes(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(sends(b"abc", b"defgh"))
        code = connected(
            "return all(s:receive(0)), all(s:receive(5)), all(s:receive('2')), "
            "all(s:receive(5)), all(s:receive(0))"
        )

        assert await pool.submit(code, port) == (
            [""],
            ["abcde"],
            ["fg"],
            [None, "closed", "h"],
            [None, "closed"],
        )

    async def test_all(self, pool: ThreadPool, servers: Servers) -> None:
        """It succeeds at the end as often as it is called, until something else fails there."""
        port = await servers.start(sends(b"abc", b"def"))
        code = connected(
            "return s:receive(2), all(s:receive('*a')), all(s:receive('*a')), "
            "all(s:receive('*l')), all(s:receive('*a')), s:close()"
        )

        assert await pool.submit(code, port) == (
            "ab",
            ["cdef"],
            [""],
            [None, "closed", ""],
            [None, "closed"],
            1,
        )

    async def test_whatever_there_is(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(sends(b"abcdef"))
        code = connected(
            "return s:receive(1), s:receiveany(3), s:receiveany(100), all(s:receiveany(100)), "
            "all(s:receiveany(100))"
        )

        assert await pool.submit(code, port) == (
            "a",
            "bcd",
            "ef",
            [None, "closed", ""],
            [None, "closed"],
        )

    async def test_up_to_a_delimiter(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(sends(b"hello, world -", b"- abc -", b"- rest -"))
        code = connected("""
            local read = s:receiveuntil("--")
            return all(read()), all(read()), all(read()), all(read())
        """)

        assert await pool.submit(code, port) == (
            ["hello, world "],
            [" abc "],
            [None, "closed", " rest "],
            [None, "closed"],
        )

    async def test_by_parts_up_to_a_delimiter(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(sends(b"abcd--efghi-", b"-x"))
        code = connected("""
            local read, parts = s:receiveuntil("--"), {}
            for i = 1, 7 do parts[i] = all(read(4)) end
            return parts
        """)

        assert await pool.submit(code, port) == [
            ["abcd"],
            [""],
            [None, None, None],
            ["efgh"],
            ["i"],
            [None, None, None],
            [None, "closed", "x"],
        ]

    async def test_including_the_delimiter(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(sends(b"abcd--efgh--ij"))
        code = connected("""
            local read = s:receiveuntil("--", { inclusive = true })
            return read(), read(4), read(4), all(read(4)), all(read())
        """)

        assert await pool.submit(code, port) == (
            "abcd--",
            "efgh",
            "--",
            [None, None, None],
            [None, "closed", "ij"],
        )

    async def test_delimiters_that_begin_again(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(sends(b"ababababacaba", b"bacab-", b"aaabaaa", b"aab"))
        code = connected("""
            local read, other = s:receiveuntil("abac"), s:receiveuntil("aaaab")
            return read(), read(), other()
        """)

        assert await pool.submit(code, port) == ("ababab", "ab", "ab-aaaba")

    async def test_after_a_timeout_it_goes_on(self, pool: ThreadPool, servers: Servers) -> None:
        """What was read is returned with the error; the beginning of a delimiter is not."""
        go_on = asyncio.Event()

        async def play(_: StreamReader, writer: StreamWriter) -> None:
            writer.write(b"abc-")
            await go_on.wait()
            go_on.clear()
            writer.write(b"-def--g")

        port = await servers.start(play)
        pool.function(go_on.set, name="go_on")
        tail = "host.go_on() s:settimeout(10000) "
        by_delimiter = "local read = s:receiveuntil('--') s:settimeout(30) "

        assert await pool.submit(
            connected(by_delimiter + "local t = all(read())" + tail + "return t, read(), read()"),
            port,
        ) == ([None, "timeout", "abc"], "", "def")
        assert await pool.submit(
            connected(by_delimiter + "local t = all(read())" + tail + "return t, s:receive(3)"),
            port,
        ) == ([None, "timeout", "abc"], "--d")
        assert await pool.submit(
            connected(
                "s:settimeout(30) local t = all(s:receive())" + tail + "return t, s:receive('*a')"
            ),
            port,
        ) == ([None, "timeout", "abc-"], "-def--g")

    async def test_how_the_stream_is_cut_does_not_matter(self, lua: str, servers: Servers) -> None:
        """Operations on a stream that comes in any pieces give what they give on the whole."""
        pieces = st.lists(st.text("ab\r\n", min_size=1, max_size=6).map(str.encode), max_size=8)
        operations = st.lists(
            st.sampled_from(["line"])
            | st.integers(1, 9)
            | st.tuples(st.text("ab", min_size=1, max_size=4), st.integers(0, 4)),
            min_size=1,
            max_size=6,
        )
        code = connected("""
            local _, operations = ...
            local results = {}
            for i, operation in ipairs(operations) do
              local data, partial, why
              if operation == "line" then data, why, partial = s:receive()
              elseif type(operation) == "number" then data, why, partial = s:receive(operation)
              else data, why, partial = s:receiveuntil(operation[1])(operation[2]) end
              results[i] = data or partial or null
            end
            return results
        """)
        streams: list[list[bytes]] = []

        async def play(reader: StreamReader, writer: StreamWriter) -> None:
            await sends(*streams.pop())(reader, writer)

        port = await servers.start(play)
        async with ThreadPool(threads=1, lua=lua) as pool:
            for cut, todo in await asyncio.to_thread(examples, st.tuples(pieces, operations), 100):
                streams.append(cut)

                results = await pool.submit(
                    code, port, [list(x) if type(x) is tuple else x for x in todo]
                )

                assert results == Model(b"".join(cut).decode()).do_all(todo)

    async def test_ten_megabytes(self, pool: ThreadPool, servers: Servers) -> None:
        data = bytes(range(256)) * 40_000

        async def play(_: StreamReader, writer: StreamWriter) -> None:
            writer.write(data)

        port = await servers.start(play)
        code = """
            local sum, data = 0, s:receive({what})
            for i = 1, #data, 997 do sum = (sum + data:byte(i) * i) % 2 ^ 31 end
            return #data, sum
        """
        expected = len(data), sum(data[i] * (i + 1) for i in range(0, len(data), 997)) % 2**31

        for what in ("'*a'", len(data)):
            assert await pool.submit(connected(code.replace("{what}", str(what))), port) == expected

    async def test_what_nobody_reads_holds_up_the_sender(
        self, pool: ThreadPool, servers: Servers
    ) -> None:
        size = 64 * 2**20
        stuck = asyncio.Event()

        async def play(_: StreamReader, writer: StreamWriter) -> None:
            sent = 0
            for _ in range(size // 2**20):
                writer.write(bytes(2**20))
                try:
                    async with asyncio.timeout(0.2):
                        await writer.drain()
                except TimeoutError:
                    stuck.set()
                    await writer.drain()
                sent += 2**20

        port = await servers.start(play)
        pool.function(stuck.wait, name="stuck")

        assert await pool.submit(connected("host.stuck() return #s:receive('*a')"), port) == size


class Model:
    """What is expected of a stream that has ended."""

    def __init__(self, stream: str) -> None:
        self._left = stream
        self._is_closed = False

    def do_all(self, operations: list[Any]) -> list[str | None]:
        return [None if self._is_closed else self._do(operation) for operation in operations]

    def _do(self, operation: Any) -> str:
        if operation == "line":
            return self._until("\n", 0).replace("\r", "")
        if isinstance(operation, int):
            data, self._left = self._left[:operation], self._left[operation:]
            self._is_closed = len(data) < operation
            return data
        return self._until(*operation)

    def _until(self, delimiter: str, limit: int) -> str:
        before, found, after = self._left.partition(delimiter)
        if not found:
            # What may be the beginning of the delimiter is lost, as in nginx.
            for size in range(len(delimiter) - 1, 0, -1):
                if before.endswith(delimiter[:size]):
                    before = before[:-size]
                    break
        if limit and len(before) >= limit:
            self._left = self._left[limit:]
            return before[:limit]
        self._left, self._is_closed = after, not found
        return before


class TestWriting:
    @pytest.mark.parametrize(
        ("data", "sent"),
        [
            ("'text'", b"text"),
            ("12", b"12"),
            ("1.5", b"1.5"),
            ("2 ^ 31", b"2147483648"),
            ("2 ^ 53", b"9.007199254741e+15"),
            ("-7", b"-7"),
            ("true", b"true"),
            ("nil", b"nil"),
            ("{ 'a', 1, { 'b', { 2.5 } }, {} }", b"a1b2.5"),
        ],
    )
    async def test_what_can_be_sent(
        self, pool: ThreadPool, servers: Servers, data: str, sent: bytes
    ) -> None:
        port = await servers.start(echo)
        code = connected(f"return s:send({data}), s:send('\\n'), s:receive()")

        assert await pool.submit(code, port) == (len(sent), 1, sent.decode())

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("", "expecting 2 arguments (including the object), but got 1"),
            ("'a', 'b'", "expecting 2 arguments (including the object), but got 3"),
            ("{ a = 1 }", "bad argument #1 to 'send' (non-array table found)"),
            ("{ [1.5] = 1 }", "bad argument #1 to 'send' (non-array table found)"),
            ("{ nil, 'a' }", "bad argument #1 to 'send' (bad data type nil found)"),
            ("{ { true } }", "bad argument #1 to 'send' (bad data type boolean found)"),
            (
                "print",
                "bad argument #1 to 'send' (string, number, boolean, nil, or array table expected, "
                "got function)",
            ),
        ],
    )
    async def test_what_cannot(
        self, pool: ThreadPool, servers: Servers, arguments: str, message: str
    ) -> None:
        port = await servers.start(silence)

        with pytest.raises(LuaError) as caught:
            await pool.submit(connected(f"s:send({arguments})"), port)

        assert caught.value.message.endswith(f":1: {message}")

    async def test_nothing_is_sent_at_once(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(silence)

        assert await pool.submit(connected("return s:send(''), s:send({})"), port) == (0, 0)

    async def test_much_to_one_who_reads_slowly(self, pool: ThreadPool, servers: Servers) -> None:
        received = bytearray()

        async def play(reader: StreamReader, writer: StreamWriter) -> None:
            while len(received) < 20_000_000:
                received.extend(await reader.read(100_000))
                await asyncio.sleep(0)
            writer.write(b"enough\n")

        port = await servers.start(play)
        code = connected("return s:send(('0123456789'):rep(2000000)), s:receive()")

        assert await pool.submit(code, port) == (20_000_000, "enough")
        assert bytes(received) == b"0123456789" * 2_000_000

    async def test_timeout(self, pool: ThreadPool, servers: Servers) -> None:
        """A send that makes no progress fails, and there is no other. Receiving goes on."""

        async def play(_: StreamReader, writer: StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"hello\n")
            await asyncio.Event().wait()

        port = await servers.start(play)
        code = connected("""
            s:settimeouts(1000, 50, 1000)
            local ok, why = s:send(("x"):rep(2 ^ 26))
            return ok, why, all(s:send("y")), s:receive()
        """)

        assert await pool.submit(code, port) == (None, "timeout", [None, "closed"], "hello")

    async def test_reading_and_writing_at_once(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(echo)
        code = connected("""
            local reader = ngx.thread.spawn(function()
              local lines = {}
              for i = 1, 100 do lines[i] = s:receive() end
              return #lines, lines[100]
            end)
            for i = 1, 100 do s:send({ i, "\\n" }) end
            return ngx.thread.wait(reader)
        """)

        assert await pool.submit(code, port) == (True, 100, "100")


class TestConnecting:
    async def test_several_ways(self, pool: ThreadPool, servers: Servers, tmp_path: Path) -> None:
        port = await servers.start(echo)
        await servers.start(echo, path=tmp_path / "socket")
        code = """
            local port, path = ...
            local s = assert(ngx.socket.connect("localhost", port))
            s:send("by name\\n")
            local results = { s:receive() }
            assert(s:connect("127.0.0.1", tostring(port)))
            s:send("by address\\n")
            results[2] = s:receive()
            s = ngx.socket.stream()
            assert(s:connect("unix:" .. path))
            s:send("by path\\n")
            results[3] = s:receive()
            return results
        """

        results = await pool.submit(code, port, str(tmp_path / "socket"))

        assert results == ["by name", "by address", "by path"]

    async def test_connecting_again_closes_the_old_connection(
        self, pool: ThreadPool, servers: Servers
    ) -> None:
        ended = asyncio.Event()

        async def play(reader: StreamReader, writer: StreamWriter) -> None:
            if servers.connections == 1:
                await reader.read()
                ended.set()
            else:
                await echo(reader, writer)

        port = await servers.start(play)
        code = connected("""
            assert(s:connect("127.0.0.1", port))
            host.ended()
            s:send("hello\\n")
            return s:receive()
        """)
        pool.function(ended.wait, name="ended")

        assert await pool.submit(code, port) == "hello"

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            ("'127.0.0.1', 1", "connection refused"),
            ("'unix:/nowhere'", "no such file or directory"),
            ("'unix:'", 'failed to parse host name "unix:": no path in the unix domain socket'),
            ("'', 80", 'failed to parse host name "": no host'),
            ("'127.0.0.1'", "missing the port number"),
            ("'127.0.0.1', nil, {}", "missing the port number"),
            ("'127.0.0.1', 'http'", "missing the port number"),
            ("'127.0.0.1', -1", "bad port number: -1"),
            ("'127.0.0.1', 65536", "bad port number: 65536"),
        ],
    )
    async def test_failures(self, pool: ThreadPool, arguments: str, why: str) -> None:
        code = f"local s = ngx.socket.tcp() return s:connect({arguments})"

        assert await pool.submit(code) == (None, why)

    async def test_a_host_that_does_not_exist(self, pool: ThreadPool) -> None:
        result, why = await pool.submit("return ngx.socket.connect('no.such.host.invalid', 80)")

        assert result is None
        assert why in (
            "no.such.host.invalid could not be resolved (3: Host not found)",
            "no.such.host.invalid could not be resolved (2: Server failure)",
        )

    async def test_timeout(self, pool: ThreadPool) -> None:
        """A server that does not accept lets a few wait, and then does not answer."""
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen(0)
            code = """
                local sockets = {}
                for i = 1, 10 do
                  sockets[i] = ngx.socket.tcp()
                  sockets[i]:settimeouts(50, 1000, 1000)
                  local ok, why = sockets[i]:connect("127.0.0.1", ...)
                  if not ok then return why end
                end
            """

            assert await pool.submit(code, server.getsockname()[1]) == "timeout"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("", "ngx.socket connect: expecting 2, 3, or 4 arguments (including the object), but "
             "seen 1"),
            ("nil, 80", "bad argument #1 to 'connect' (string expected, got nil)"),
            ("'a', 1, { pool_size = 0 }", "bad argument #3 to 'connect' (bad \"pool_size\" option "
             "value: 0)"),
            ("'a', 1, { pool_size = {} }", "bad argument #3 to 'connect' (bad \"pool_size\" option "
             "type: table)"),
            ("'a', 1, { backlog = -1 }", "bad argument #3 to 'connect' (bad \"backlog\" option "
             "value: -1)"),
            ("'a', 1, { pool = {} }", "bad argument #3 to 'connect' (bad \"pool\" option type: "
             "table)"),
        ],
    )  # fmt: skip
    async def test_arguments(self, pool: ThreadPool, arguments: str, message: str) -> None:
        with pytest.raises(LuaError) as caught:
            await pool.submit(f"local s = ngx.socket.tcp() s:connect({arguments})")

        assert caught.value.message.endswith(f":1: {message}")

    async def test_from_a_certain_address(self, pool: ThreadPool, servers: Servers) -> None:
        async def play(_: StreamReader, writer: StreamWriter) -> None:
            writer.write(writer.get_extra_info("peername")[0].encode())

        port = await servers.start(play)
        code = """
            local s = ngx.socket.tcp()
            local ok, why = s:bind("here")
            assert(not ok and why == "bad address")
            assert(s:bind("127.0.0.2"))
            assert(s:connect("127.0.0.1", ...))
            return s:receive("*a")
        """

        assert await pool.submit(code, port) == "127.0.0.2"

    async def test_options(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(silence)
        code = connected("""
            local before = s:getoption("keepalive")
            assert(s:setoption("keepalive", true))
            return before, s:getoption("keepalive"), all(s:getoption("color")), all(s:setoption()),
              all(s:setoption("keepalive"))
        """)

        assert await pool.submit(code, port) == (
            0,
            1,
            [None, "unsupported option color"],
            [None, 'missing the "option" argument'],
            [None, 'missing the "value" argument'],
        )


class TestEnds:
    async def test_a_closed_socket(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(silence)
        code = connected("""
            assert(s:close() == 1)
            return { all(s:close()), all(s:send("x")), all(s:receive()), all(s:receiveuntil("x")()),
              all(s:setkeepalive()), all(s:getreusedtimes()), all(s:sslhandshake()) }
        """)

        assert await pool.submit(code, port) == [[None, "closed"]] * 7

    async def test_a_socket_that_was_never_connected(self, pool: ThreadPool) -> None:
        code = """
            local s = ngx.socket.tcp()
            local _, why = s:send("x")
            assert(why == "closed")
            return s:sslhandshake()
        """

        with pytest.raises(LuaError, match="socket is never created nor connected"):
            await pool.submit(code)

    async def test_the_peer_may_stop_sending_first(
        self, pool: ThreadPool, servers: Servers
    ) -> None:
        received = asyncio.get_running_loop().create_future()

        async def play(reader: StreamReader, writer: StreamWriter) -> None:
            writer.write_eof()
            received.set_result(await reader.read())

        port = await servers.start(play)
        code = connected("return all(s:receive()), s:send('still here'), s:close()")

        assert await pool.submit(code, port) == ([None, "closed", ""], 10, 1)
        assert await received == b"still here"

    async def test_reset_while_reading(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(reset)
        code = connected("return all(s:receive()), all(s:receive()), s:send('x') == nil")

        assert await pool.submit(code, port) == (
            [None, "connection reset by peer", ""],
            [None, "closed"],
            True,
        )

    async def test_reset_before_writing(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(reset)
        code = connected("""
            local ok, why
            repeat ok, why = s:send("x") until not ok
            local other = { all(s:send("x")), all(s:receive()) }
            return why, other
        """)

        why, other = await pool.submit(code, port)

        assert why in ("connection reset by peer", "broken pipe")
        assert other == [[None, "closed"], [None, "closed", ""]]

    @pytest.mark.parametrize("end", ["return", "error('oops')", "s:receive()"])
    async def test_it_is_closed_with_its_task(
        self, pool: ThreadPool, servers: Servers, end: str
    ) -> None:
        """However that ends: by returning, by an error, by being cancelled."""
        hello, ended = asyncio.Event(), asyncio.Event()

        async def play(reader: StreamReader, _: StreamWriter) -> None:
            await reader.readline()
            hello.set()
            await reader.read()
            ended.set()

        port = await servers.start(play)

        task = pool.submit(connected("s:send('hello\\n')" + end), port)
        await hello.wait()
        if end == "s:receive()":
            task.cancel()

        await asyncio.wait([task])
        async with asyncio.timeout(10):
            await ended.wait()

    async def test_it_is_of_no_use_to_another_task(self, lua: str, servers: Servers) -> None:
        port = await servers.start(echo)
        async with ThreadPool(threads=1, lua=lua, init="kept = {}") as pool:
            kept = asyncio.Event()

            async def keep() -> None:
                kept.set()
                await asyncio.Event().wait()

            pool.function(keep)
            owner = pool.submit(connected("kept.socket = s host.keep()"), port)
            await kept.wait()

            for use in ("send('x')", "receive()", "connect('127.0.0.1', 1)", "close()"):
                with pytest.raises(LuaError, match="bad request"):
                    await pool.submit(f"kept.socket:{use}")
            owner.cancel()

    async def test_busy(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(echo)
        code = connected("""
            local thread = ngx.thread.spawn(function() return s:receive() end)
            local failures = { all(s:receive()), all(s:receiveany(1)), all(s:receiveuntil("x")()),
              all(s:close()), all(s:setkeepalive()), all(s:sslhandshake()),
              all(s:connect("127.0.0.1", port)) }
            s:send("hello\\n")
            return failures, all(ngx.thread.wait(thread)), s:close()
        """)

        assert await pool.submit(code, port) == (
            [[None, "socket busy reading"]] * 7,
            [True, "hello"],
            1,
        )

    async def test_who_is_killed_takes_the_connection_along(
        self, pool: ThreadPool, servers: Servers
    ) -> None:
        async def both_wait() -> None:
            await until(lambda: pool.statistics().paused == 2)

        port = await servers.start(silence)
        pool.function(both_wait)
        code = connected("""
            local thread = ngx.thread.spawn(function() return s:receive() end)
            host.both_wait()
            assert(ngx.thread.kill(thread))
            return all(s:receive()), all(s:send("x")), all(s:close())
        """)

        assert await pool.submit(code, port) == ([None, "closed"],) * 3


class TestKeepalive:
    async def test_reuse(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(echo)
        code = connected("""
            s:send("hello\\n")
            local line, times = s:receive(), s:getreusedtimes()
            assert(s:setkeepalive(10000, 5))
            return line, times, all(s:getreusedtimes()), all(s:send("x"))
        """)

        for times in range(3):
            assert await pool.submit(code, port) == (
                "hello",
                times,
                [None, "closed"],
                [None, "closed"],
            )
        assert servers.connections == 1

    async def test_the_least_recently_used_is_closed(
        self, pool: ThreadPool, servers: Servers
    ) -> None:
        port = await servers.start(echo)
        code = """
            local port = ...
            local function connect()
              local s = ngx.socket.tcp()
              assert(s:connect("127.0.0.1", port))
              return s
            end
            local a, b, c = connect(), connect(), connect()
            for _, s in ipairs({ a, b, c }) do s:setkeepalive(10000, 2) end
            return { connect():getreusedtimes(), connect():getreusedtimes(),
              connect():getreusedtimes() }
        """

        assert await pool.submit(code, port) == [1, 1, 0]

    async def test_not_with_unread_data(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(echo)
        code = connected("s:send('ab\\n') s:receive(1) return s:setkeepalive()")

        assert await pool.submit(code, port) == (None, "unread data in buffer")

    async def test_not_when_more_has_come(self, pool: ThreadPool, servers: Servers) -> None:
        go_on, sent = asyncio.Event(), asyncio.Event()

        async def play(reader: StreamReader, writer: StreamWriter) -> None:
            await go_on.wait()
            writer.write(b"stale")
            await writer.drain()
            sent.set()
            await reader.read()

        async def stale() -> None:
            go_on.set()
            await sent.wait()
            for _ in range(3):  # The loop comes by what has been sent.
                await asyncio.sleep(0)

        port = await servers.start(play)
        pool.function(stale)
        code = connected("host.stale() return all(s:setkeepalive()), all(s:close())")

        assert await pool.submit(code, port) == (
            [None, "connection in dubious state"],
            [None, "closed"],
        )

    @pytest.mark.parametrize("what", [b"", b"stale"])
    async def test_an_idle_connection_that_says_something_is_closed(
        self, pool: ThreadPool, servers: Servers, what: bytes
    ) -> None:
        go_on, closed = asyncio.Event(), asyncio.Event()

        async def play(reader: StreamReader, writer: StreamWriter) -> None:
            await go_on.wait()
            writer.write(what)
            if not what:
                writer.write_eof()
            await reader.read()
            closed.set()

        port = await servers.start(play)
        code = connected("local times = s:getreusedtimes() s:setkeepalive() return times")

        assert await pool.submit(code, port) == 0
        go_on.set()
        async with asyncio.timeout(10):
            await closed.wait()
        assert await pool.submit(code, port) == 0

    async def test_idle_time(self, pool: ThreadPool, servers: Servers) -> None:
        closed = asyncio.Event()

        async def play(reader: StreamReader, _: StreamWriter) -> None:
            await reader.read()
            closed.set()

        port = await servers.start(play)

        assert await pool.submit(connected("return s:setkeepalive(30)"), port) == 1
        async with asyncio.timeout(10):
            await closed.wait()

    async def test_all_are_closed_with_the_pool(self, lua: str, servers: Servers) -> None:
        closed = asyncio.Event()

        async def play(reader: StreamReader, _: StreamWriter) -> None:
            await reader.read()
            closed.set()

        port = await servers.start(play)
        async with ThreadPool(lua=lua, threads=1) as pool:
            assert await pool.submit(connected("return s:setkeepalive(0)"), port) == 1
        async with asyncio.timeout(10):
            await closed.wait()

    async def test_a_pool_by_name(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(echo)
        code = """
            local s = ngx.socket.tcp()
            assert(s:connect("127.0.0.1", ..., { pool = select(2, ...) }))
            local times = s:getreusedtimes()
            s:setkeepalive()
            return times
        """

        names = ["one", "other", "one", "other"]
        assert [await pool.submit(code, port, name) for name in names] == [0, 0, 1, 1]

    async def test_backlog(self, pool: ThreadPool, servers: Servers) -> None:
        """One has the connection, one may wait for it, and a third is refused."""
        port = await servers.start(echo)
        connect = """
            local port = ...
            local function connect(timeout)
              local s = ngx.socket.tcp()
              s:settimeout(timeout or 10000)
              local ok, why = s:connect("127.0.0.1", port, { pool_size = 1, backlog = 1 })
              return ok and s, why
            end
        """
        waits = (
            connect
            + """
            local s, why = connect()
            return s and s:getreusedtimes() or why
        """
        )
        holds = (
            connect
            + """
            local s = assert(connect())
            host.holds()
            if select(2, ...) == "close" then s:close() else s:setkeepalive() end
        """
        )

        for how, times in (("keep", 1), ("close", 0)):
            held, release = asyncio.Event(), asyncio.Event()

            async def hold(held: asyncio.Event = held, release: asyncio.Event = release) -> None:
                held.set()
                await release.wait()

            pool.function(hold, name="holds")
            holder = pool.submit(holds, port, how)
            await held.wait()

            late = await pool.submit(connect + "return connect(30)", port)
            assert late == (None, "timeout")

            waiter = pool.submit(waits, port)
            await until(lambda: pool.statistics().paused == 2)
            refused = await pool.submit(connect + "return connect()", port)
            assert refused == (None, "too many waiting connect operations")

            release.set()
            await holder
            assert await waiter == times

    async def test_who_waits_and_is_cancelled_leaves_its_place(
        self, pool: ThreadPool, servers: Servers
    ) -> None:
        port = await servers.start(echo)
        held, release = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            held.set()
            await release.wait()

        pool.function(hold)
        connect = """
            local s = ngx.socket.tcp()
            s:settimeout(select(2, ...) or 10000)
            local ok, why = s:connect("127.0.0.1", ..., { pool_size = 1, backlog = 2 })
            if not ok then return why end
        """
        holder = pool.submit(connect + "host.hold() s:close()", port)
        await held.wait()
        waiters = [pool.submit(connect + "return s:close()", port) for _ in range(2)]
        await until(lambda: pool.statistics().paused == 3)

        waiters[0].cancel()
        release.set()

        await holder
        assert await waiters[1] == 1
        # Nobody is counted any more: who would have to wait behind that one would do so in vain.
        assert await pool.submit(connect + "return s:close()", port, 1000) == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost with its key, which has signed itself."""
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    command = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        f"-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout {path}.key -out {path}"
    )
    try:
        subprocess.run(command.split(), check=True, capture_output=True)
    except FileNotFoundError:
        required("the openssl command")
    path.write_text(path.read_text() + Path(f"{path}.key").read_text())
    return path


class TestTls:
    @pytest.fixture
    def tls(self, certificate: Path) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        return context

    async def test_a_handshake_and_then_the_same_as_ever(
        self, pool: ThreadPool, servers: Servers, tls: ssl.SSLContext
    ) -> None:
        port = await servers.start(echo, ssl=tls, limit=2**24)
        code = connected("""
            local session = assert(s:sslhandshake(nil, "localhost"))
            assert(s:sslhandshake(session) == session) -- does nothing more
            local big = ("x"):rep(5000000)
            local thread = ngx.thread.spawn(function() return s:receive() == big end)
            s:send({ big, "\\n" })
            return session ~= nil, all(ngx.thread.wait(thread)), s:getreusedtimes(),
              s:setkeepalive()
        """)

        for times in range(2):
            assert await pool.submit(code, port) == (True, [True, True], times, 1)

    async def test_no_session_is_wanted(
        self, pool: ThreadPool, servers: Servers, tls: ssl.SSLContext
    ) -> None:
        port = await servers.start(echo, ssl=tls)
        code = connected("""
            local result = s:sslhandshake(false)
            s:send("hello\\n")
            return result, s:receive()
        """)

        assert await pool.submit(code, port) == (True, "hello")

    async def test_in_the_middle_of_a_conversation(
        self, pool: ThreadPool, servers: Servers, tls: ssl.SSLContext
    ) -> None:
        async def play(reader: StreamReader, writer: StreamWriter) -> None:
            await reader.readline()
            writer.write(b"go ahead\n")
            await writer.start_tls(tls)
            await echo(reader, writer)

        port = await servers.start(play)
        code = connected("""
            s:send("STARTTLS\\n")
            local answer = s:receive()
            assert(s:sslhandshake(false))
            s:send("secret\\n")
            return answer, s:receive()
        """)

        assert await pool.submit(code, port) == ("go ahead", "secret")

    async def test_certificates_are_verified_if_asked_for(
        self,
        lua: str,
        servers: Servers,
        tls: ssl.SSLContext,
        certificate: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        port = await servers.start(echo, ssl=tls)
        code = connected("""
            local ok, why = s:sslhandshake(false, select(2, ...), true)
            return ok, why, all(s:close())
        """)

        async with ThreadPool(lua=lua, threads=1) as pool:
            ok, why, closed = await pool.submit(code, port, "localhost")
            assert (ok, closed) == (None, [None, "closed"])
            assert why in ("18: self-signed certificate", "18: self signed certificate")

        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with ThreadPool(lua=lua, threads=1) as pool:
            assert await pool.submit(code, port, "localhost") == (True, None, [1])
            assert await pool.submit(code, port, None) == (True, None, [1])
            ok, why, _ = await pool.submit(code, port, "example.com")
            assert (ok, why) == (None, "certificate host mismatch")

    @pytest.mark.parametrize(
        ("play", "why"),
        [
            (sends(b"nonsense nonsense nonsense\n"), "handshake failed"),
            (sends(), "handshake failed"),
            (reset, "handshake failed"),
            (silence, "timeout"),
        ],
    )
    async def test_failures(self, pool: ThreadPool, servers: Servers, play: Play, why: str) -> None:
        port = await servers.start(play)
        code = connected("s:settimeout(200) return all(s:sslhandshake()), all(s:close())")

        assert await pool.submit(code, port) == ([None, why], [None, "closed"])

    async def test_what_is_not_there(self, pool: ThreadPool, servers: Servers) -> None:
        port = await servers.start(silence)
        code = connected("""
            return all(s:sslhandshake(nil, nil, false, true)), s:setclientcert(),
              all(s:setclientcert("certificate")), all(s:setclientcert("certificate", "key"))
        """)

        assert await pool.submit(code, port) == (
            [None, "no OCSP support"],
            True,
            [None, "client certificate must be supplied with corresponding private key"],
            [None, "client certificates are not supported in a thread pool"],
        )


class Echo(asyncio.DatagramProtocol):
    """A datagram server that sends everything back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._transport.sendto(data, address)  # type: ignore[attr-defined]


@pytest.fixture
async def datagram_port() -> AsyncIterator[int]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        Echo, local_addr=("127.0.0.1", 0)
    )
    yield transport.get_extra_info("sockname")[1]
    transport.close()


class TestUdp:
    async def test_datagrams(self, pool: ThreadPool, datagram_port: int) -> None:
        code = """
            local s = ngx.socket.udp()
            s:settimeout(10000)
            assert(s:setpeername("127.0.0.1", ...))
            local results = { s:send("hello") }
            s:send({ "a", 1 })
            s:send(("x"):rep(60000))
            results[2], results[3], results[4] = s:receive(), s:receive(1), #s:receive()
            s:settimeout(30)
            results[5] = { select(2, s:receive()) }
            results[6] = s:close()
            results[7] = { select(2, s:close()) }
            results[8] = { select(2, s:send("x")) }
            return results
        """

        assert await pool.submit(code, datagram_port) == [
            1,
            "hello",
            "a",
            60000,
            ["timeout"],
            1,
            ["closed"],
            ["closed"],
        ]

    async def test_many_at_once(self, pool: ThreadPool, datagram_port: int) -> None:
        code = Chunk("""
            local port, text = ...
            local s = ngx.socket.udp()
            assert(s:setpeername("localhost", port))
            assert(s:send(text))
            return s:receive()
        """)

        texts = [f"text {n}" for n in range(50)]
        answers = await asyncio.gather(*[pool.submit(code, datagram_port, text) for text in texts])

        assert answers == texts

    async def test_nobody_listens(self, pool: ThreadPool) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        code = """
            local s = ngx.socket.udp()
            assert(s:setpeername("127.0.0.1", ...))
            assert(s:send("x"))
            return s:receive()
        """

        assert await pool.submit(code, port) == (None, "connection refused")

    async def test_over_a_path(self, pool: ThreadPool, tmp_path: Path) -> None:
        path = str(tmp_path / "socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
            server.bind(path)
            loop = asyncio.get_running_loop()

            def answer() -> None:
                data, address = server.recvfrom(100)
                server.sendto(data.upper(), address)

            loop.add_reader(server, answer)
            code = """
                local s = ngx.socket.udp()
                assert(s:setpeername("unix:" .. ...))
                assert(s:send("hello"))
                return s:receive()
            """
            try:
                assert await pool.submit(code, path) == "HELLO"
            finally:
                loop.remove_reader(server)

    async def test_from_a_certain_address(self, pool: ThreadPool) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            code = """
                local s = ngx.socket.udp()
                assert(s:bind("127.0.0.2"))
                assert(s:setpeername("127.0.0.1", ...))
                return s:send("hello")
            """

            assert await pool.submit(code, server.getsockname()[1]) == 1
            data, address = server.recvfrom(100)

        assert (data, address[0]) == (b"hello", "127.0.0.2")

    @pytest.mark.parametrize(
        ("use", "result"),
        [
            ("setpeername('127.0.0.1', 65536)", (None, "bad port number: 65536")),
            ("setpeername('unix:/nowhere')", (None, "no such file or directory")),
            ("send('x')", (None, "closed")),
            ("receive()", (None, "closed")),
            ("bind('here')", (None, "bad address")),
        ],
    )
    async def test_failures(self, pool: ThreadPool, use: str, result: Any) -> None:
        assert await pool.submit(f"return ngx.socket.udp():{use}") == result


class TestEverywhere:
    @pytest.mark.parametrize("name", ALL_LUAS)
    async def test_all_implementations(
        self, servers: Servers, datagram_port: int, name: str
    ) -> None:
        port = await servers.start(echo)
        code = connected("""
            local _, datagram_port = ...
            s:send({ "a line\\r\\n", 12, 3.5, "; and more\\n" })
            local results = { s:receive(), s:receive(5), s:receiveuntil(" and ")() }
            results[4] = s:receiveany(9)
            assert(s:setkeepalive())
            local d = ngx.socket.udp()
            assert(d:setpeername("127.0.0.1", datagram_port))
            d:send("datagram")
            results[5] = d:receive()
            return results
        """)

        async with ThreadPool(threads=1, lua=name) as pool:
            results = await pool.submit(code, port, datagram_port)

        assert results == ["a line", "123.5", ";", "more\n", "datagram"]

    async def test_within_limits(self, servers: Servers) -> None:
        data = b"line\r\n" * 100_000 + b"end\n"

        async def play(reader: StreamReader, writer: StreamWriter) -> None:
            writer.write(data)
            await reader.read()

        port = await servers.start(play)
        code = connected("""
            local count = 0
            repeat count = count + 1 until s:receive() == "end"
            return count
        """)

        async with ThreadPool(threads=1, time_limit=30, memory_limit=2**25) as pool:
            assert await pool.submit(code, port) == 100_001

    async def test_not_in_init(self, lua: str) -> None:
        init = "ok, why = pcall(ngx.socket.tcp)"

        async with ThreadPool(threads=1, lua=lua, init=init) as pool:
            result = await pool.submit("return ok, why")

        assert result == (False, "API disabled in the context of init_by_lua*")

    async def test_arguments_that_are_none(self, pool: ThreadPool) -> None:
        for name in ("tcp", "udp", "stream"):
            with pytest.raises(LuaError, match="expecting zero arguments, but got 1"):
                await pool.submit(f"ngx.socket.{name}(1)")


def test_no_blocking_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are looked up off the loop's thread."""
    threads: list[str] = []
    lookup = socket.getaddrinfo

    def noted(*args: Any, **options: Any) -> Any:
        if args[0] == "localhost":
            threads.append(threading.current_thread().name)
        return lookup(*args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", noted)

    async def main() -> None:
        async with ThreadPool(threads=1) as pool:
            await pool.submit("ngx.socket.connect('localhost', 1)")

    asyncio.run(main())

    assert threads and "MainThread" not in threads
