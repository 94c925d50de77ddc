"""The examples, each run as its users run it: as a process of its own."""

from __future__ import annotations

import ast
import asyncio
import csv
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from .conftest import required
from .helpers import ROOT

# The examples bring their own loops: once with each example is enough.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

TIME_LIMIT = 60  # seconds, for a whole test


class Outcome(NamedTuple):
    """How a process ended, and all that it printed."""

    code: int | None
    out: str
    err: str


async def start(example: str, *args: object) -> Process:
    """Start an example, which finds the library in this checkout even if it is not installed."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "always::ResourceWarning",
        ROOT / "examples" / example,
        *map(str, args),
        stdout=PIPE,
        stderr=PIPE,
        env=os.environ | {"PYTHONPATH": path},
    )


async def end_of(process: Process) -> Outcome:
    """Wait until a process ends; it does not outlive the test."""
    try:
        out, err = await process.communicate()
    except BaseException:
        process.kill()
        await process.communicate()
        raise
    return Outcome(process.returncode, out.decode(), err.decode())


async def run(example: str, *args: object) -> Outcome:
    """Run an example to its end."""
    async with asyncio.timeout(TIME_LIMIT):
        return await end_of(await start(example, *args))


class Client:
    """A connection to the echo server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, line: bytes) -> None:
        self._writer.write(line + b"\n")

    async def receive(self) -> bytes:
        """Return the next line without its end; b"" after the last one."""
        return (await self._reader.readline()).removesuffix(b"\n")

    async def ask(self, line: bytes) -> bytes:
        self.send(line)
        return await self.receive()

    def send_the_last(self, line: bytes) -> None:
        """Send a line that has no end, and say that no more will come."""
        self._writer.write(line)
        self._writer.write_eof()

    def reset(self) -> None:
        """Break the connection off, and drop what comes from the server."""
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


class Server:
    """A running echo server."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self._port = port

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """Connect to the server, and hang up at the end."""
        client = Client(*await asyncio.open_connection("127.0.0.1", self._port))
        try:
            yield client
        finally:
            await client.close()


@asynccontextmanager
async def echo_server(*options: object) -> AsyncIterator[Server]:
    """Run the echo server, and check in the end that SIGTERM stops it without a complaint."""
    async with asyncio.timeout(TIME_LIMIT):
        process = await start("echo_server.py", "--port", 0, *options)
        try:
            assert process.stdout is not None
            ready = (await process.stdout.readline()).decode()
            address = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", ready)
            assert address, ready
            yield Server(process, int(address[1]))
            if process.returncode is None:
                process.terminate()
                assert await end_of(process) == Outcome(0, "", "")
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()


async def test_hello_shows_values_and_an_error() -> None:
    """The tour prints what Lua computed, and where Lua failed."""
    code, out, err = await run("hello.py")
    *values, failure = out.splitlines()
    assert (code, err) == (0, "")
    assert values == [
        "2 + 3 = 5",
        "string.rep: ababab",
        "primes up to 10,000: 1,229",
        "primes up to 100,000: 9,592",
        "primes up to 1,000,000: 78,498",
    ]
    assert re.fullmatch(
        r"Lua failed at line (\d+): .*hello\.lua:\1: the limit is a number, not a string", failure
    )


async def test_200_clients_at_once_each_get_their_own_lines_back() -> None:
    """No line gets lost, out of order or to another client."""

    async def talk(server: Server, number: int) -> None:
        lines = [b"client %d, line %d" % (number, i) for i in range(20)]
        async with server.client() as client:
            await all_connected.wait()
            for line in lines:
                client.send(line)
            assert [await client.receive() for _ in lines] == lines

    all_connected = asyncio.Barrier(200)
    async with echo_server() as server, asyncio.TaskGroup() as clients:
        for number in range(200):
            clients.create_task(talk(server, number))


async def test_a_blocking_line_does_not_delay_other_clients() -> None:
    """All other clients are answered before the one whose line blocks a thread."""
    arrived: list[bytes] = []

    async def ask(client: Client, line: bytes) -> None:
        arrived.append(await client.ask(line))

    async with (
        echo_server("--threads", 2) as server,
        server.client() as blocking,
        server.client() as quick,
        asyncio.TaskGroup() as asking,
    ):
        asking.create_task(ask(blocking, b"sleep 2"))
        for i in range(100):
            await ask(quick, b"quick %d" % i)
    assert arrived == [*(b"quick %d" % i for i in range(100)), b"slept 2"]


async def test_a_line_that_fails_is_answered_and_the_connection_goes_on() -> None:
    """An error of Lua is a line like any other."""
    async with echo_server() as server, server.client() as client:
        for seconds in b"long", b"-1", b"1e9", b"nan":
            assert await client.ask(b"sleep " + seconds) == (
                b"error: sleep takes 0 to 60 seconds, not '%s'" % seconds
            )
        assert await client.ask(b"sleep 0") == b"slept 0"
        assert await client.ask(b"still here") == b"still here"


async def test_bytes_that_are_no_utf_8_come_back_as_they_are() -> None:
    """Every byte but the end of the line passes through Lua unchanged."""
    every_byte = bytes(set(range(256)) - {ord("\n")})
    async with echo_server() as server, server.client() as client:
        assert await client.ask(every_byte) == every_byte
        assert await client.ask(b"") == b""
        assert await client.ask(b"\xff\xfe\x00") == b"\xff\xfe\x00"


@pytest.mark.parametrize("length", [2**16 + 1, 2**17, 2**20])
async def test_an_overlong_line_is_refused_and_the_next_one_answered(length: int) -> None:
    """However its bytes arrive, a line beyond the limit is one error."""
    async with echo_server() as server, server.client() as client:
        assert await client.ask(b"x" * length) == b"error: the line is too long"
        assert await client.ask(b"short") == b"short"


async def test_a_full_queue_answers_that_the_server_is_busy() -> None:
    """Of two slow lines for one thread and no queue, one is refused."""
    async with (
        echo_server("--threads", 1, "--max-queue", 0) as server,
        server.client() as one,
        server.client() as other,
    ):
        answers = await asyncio.gather(one.ask(b"sleep 1"), other.ask(b"sleep 1"))
        busy, slept = sorted(answers)
        assert busy.startswith(b'busy: thread pool "echo" queue overflow')
        assert slept == b"slept 1"
        assert await one.ask(b"again") == b"again"
        assert await other.ask(b"again") == b"again"


async def test_clients_that_disconnect_early_harm_nobody() -> None:
    """Neither a reset in the middle of the work nor half a line ends the server."""
    async with echo_server("--threads", 1) as server:
        async with server.client() as client:
            assert await client.ask(b"hello") == b"hello"
            client.send(b"sleep 0.2")
            client.reset()
        async with server.client() as client:
            client.send(b"a line")
            client.send_the_last(b"half a li")
            assert await client.receive() == b"a line"
            assert await client.receive() == b"half a li"
            # The server hangs up as well.
            assert await client.receive() == b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_server_cleanly(number: signal.Signals) -> None:
    """The exit code is 0, nothing is on stderr, and no line that still sleeps is waited for."""
    async with (
        echo_server("--threads", 2) as server,
        server.client() as blocking,
        server.client() as idle,
    ):
        blocking.send(b"sleep 50")
        assert await idle.ask(b"hello") == b"hello"
        server.process.send_signal(number)
        async with asyncio.timeout(20):
            assert await end_of(server.process) == Outcome(0, "", "")
        assert await idle.receive() == b""


async def test_a_port_in_use_is_told_without_a_traceback() -> None:
    """The second server on a port says why it does not start."""
    listener = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        code, out, err = await run("echo_server.py", "--port", port)
    assert (code, out) == (1, "")
    assert err.startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert err.count("\n") == 1


async def test_the_echo_client_sees_quick_answers_while_a_line_blocks() -> None:
    """The demonstration succeeds, and says how long the answers took."""
    code, out, err = await run("echo_client.py")
    assert (code, err) == (0, "")
    assert "The server echoes: Hello, Lua!\n" in out
    assert re.search(r"^The slowest of the quick answers took \d+\.\d ms\.$", out, re.MULTILINE)
    assert re.search(r"^The blocking one took \d+\.\d\d s: slept 2$", out, re.MULTILINE)


async def test_cpu_saves_a_picture(tmp_path: Path) -> None:
    """It is a PNG of the size asked for, with the set in the middle and colours around it."""
    path = tmp_path / "mandelbrot.png"
    code, out, _ = await run(
        "cpu.py", path, "--width", 150, "--height", 100, "--iterations", 200, "--threads", 3
    )
    assert code == 0
    assert re.fullmatch(r"computed in \d+\.\d\d s on 3 threads, saved as (.+)\n", out)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.size == (150, 100)
        colours = picture.getcolors(150 * 100)
        assert picture.getpixel((75, 50)) == (0, 0, 0), "the middle belongs to the set"
        assert picture.getpixel((0, 0)) != (0, 0, 0), "the corner does not"
    assert colours is not None
    assert len(colours) > 100


async def test_database_writes_from_several_connections() -> None:
    """Every note is written once, and the loop ticks meanwhile."""
    code, out, err = await run("database.py")
    if code == 1 and "apt-get install lua-sql-sqlite3" in out:
        required("lua-sql-sqlite3")
    assert (code, err) == (0, "")
    assert re.search(r"^50000 notes written in \d+\.\d\d s$", out, re.MULTILINE)
    ticks = re.search(r"the loop ticked (\d+) times", out)
    assert ticks
    assert int(ticks[1]) > 0
    by_connection = re.findall(r"^connection 0x\w+ wrote (\d+) notes$", out, re.MULTILINE)
    assert 1 <= len(by_connection) <= 4
    assert sum(map(int, by_connection)) == 50000


async def test_database_says_how_to_install_the_driver(tmp_path: Path) -> None:
    """Where the C module is missing, the way to get it is shown instead of a traceback."""
    code, out, err = await run("database.py", "--cpath", tmp_path / "?.so")
    assert (code, err) == (1, "")
    assert "apt-get install lua-sql-sqlite3" in out


def summary_of(out: str) -> tuple[dict[str, str], int, int]:
    """Return what `stream_file.py` printed: the totals, the number of rows, and that of ticks."""
    match = re.fullmatch(
        r"(?s)(.*?)(\d+) rows, \d+\.\d MB, read in \d+\.\d\d s\n"
        r"meanwhile the loop ticked (\d+) times, \d+ ms apart at most\n",
        out,
    )
    assert match, out
    totals = re.findall(r"^(.*): ([\d,.]+)$", match[1], re.MULTILINE)
    return dict(totals), int(match[2]), int(match[3])


async def test_stream_file_adds_up_a_file_that_it_makes() -> None:
    """No row is lost, whatever is in its fields, and the loop ticks while they come."""
    code, out, err = await run("stream_file.py")
    assert (code, err) == (0, "")
    totals, rows, ticks = summary_of(out)
    assert totals == {
        "Corner Shop": "4,162,583.25",
        "Smith, Jones & Sons": "4,162,416.75",
        'The "Old" Mill': "4,162,500.00",
    }
    assert rows == 100_000
    assert ticks > 0


@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_stream_file_reads_what_a_csv_writer_writes(tmp_path: Path, end: str) -> None:
    """Commas, quotes, ends of lines and nothing at all are text in a field like any other."""
    texts = ["plain", "", ",", '"', '""', '","', 'a "quoted" word', "é, ü", '"at both ends"', " "]
    path = tmp_path / "texts.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator=end)
        writer.writerow(["two\nlines", "weight, in kg", 'the "text"'])
        for weight, text in enumerate(texts, start=1):
            writer.writerow([f"{text}\n\n{text}", weight, text])
            writer.writerow([text, -weight / 4, text])
        file.write(end)
    code, out, err = await run(
        "stream_file.py", path, "--group-by", 'the "text"', "--sum", "weight, in kg"
    )
    assert (code, err) == (0, "")
    totals, rows, _ = summary_of(out)
    assert totals == {text: f"{weight * 0.75:.2f}" for weight, text in enumerate(texts, start=1)}
    assert rows == 2 * len(texts)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, ": No such file or directory"),
        ("", ":1: the file is empty"),
        ("shop,price\n", ":1: there is no column 'amount'"),
        ("shop,amount\nA,1\n\nB,2,3\n", ":4: the row has 3 fields instead of 2"),
        ("shop,amount\nA\n", ":2: the row has 1 fields instead of 2"),
        ("shop,amount\nA,much\n", ":2: 'much' is not a number"),
        ('shop,amount\n"A\nB",1\n"C"D,2\n', ":4: a quote is out of place"),
        ('shop,amount\nA"B"C,1\n', ":2: a quote is out of place"),
        ('shop,amount\n"A\nB",1\n"C,2\n', ":4: a quoted field does not end"),
        ('shop,amount\n"A,1\n' + "B,2\n" * 100_000, ":2: a quoted field does not end"),
    ],
    ids=[
        "missing file",
        "empty file",
        "missing column",
        "too many fields",
        "too few fields",
        "no number",
        "text behind quotes",
        "quotes in text",
        "open quote",
        "open quote far from the end",
    ],
)
async def test_stream_file_says_what_is_wrong_and_where(
    tmp_path: Path, content: str | None, complaint: str
) -> None:
    """One line names the file, the line in it at which the row begins, and the reason."""
    path = tmp_path / "sales.csv"
    if content is not None:
        path.write_text(content)
    assert await run("stream_file.py", path) == Outcome(1, "", f"{path}{complaint}\n")


async def test_stream_file_refuses_a_directory_and_text_that_is_no_utf_8(tmp_path: Path) -> None:
    """What only fails while it is read is told without a traceback as well."""
    outcome = await run("stream_file.py", tmp_path)
    assert outcome == Outcome(1, "", f"{tmp_path}: Is a directory\n")
    path = tmp_path / "latin-1.csv"
    path.write_bytes(b"shop,amount\nCaf\xe9,1\n")
    code, out, err = await run("stream_file.py", path)
    assert (code, out) == (1, "")
    assert err.startswith("yielded value 1: byte 0xe9 at 4 is not valid UTF-8")
    assert err.count("\n") == 1


async def test_async_host_prices_hundreds_of_orders_by_rules_in_lua() -> None:
    """The rules get what the service has, handle what it does not have, or let that through."""
    code, out, err = await run("async_host.py")
    assert (code, err) == (0, "")
    one, many, *rest = out.splitlines()
    assert re.fullmatch(r"orders: 1, priced in \d+\.\d\d s", one)
    assert re.fullmatch(r"orders: 200, priced in \d+\.\d\d s", many)
    assert rest == [
        "7,356.50 in all; 50 orders had a voucher that does not exist",
        "an order cannot be priced: there is no /products/moon",
    ]


async def test_fanout_sums_up_what_the_backends_answer() -> None:
    """Far more tasks wait than there are threads and states, and each gets its own answers."""
    code, out, err = await run("fanout.py")
    assert (code, err) == (0, "")
    summary, *counts, paused, pool = out.splitlines()
    assert ast.literal_eval(summary.removeprefix("the last summary: ")) == {
        "product": 3000,
        "price": 40,
        "stars": "not rated",
        "hurry": False,
        "replacement": 3001,
    }
    assert counts == [
        "3000 products, 150 of them sold out",
        "asked for 3000 prices, 3000 stocks, 3000 ratings, 150 replacements",
    ]
    most = re.fullmatch(r"up to (\d+) tasks were paused at the same time", paused)
    assert most
    assert 2 < int(most[1]) <= 1000
    assert re.fullmatch(r"threads: 2, Lua states: [12]", pool)


async def test_openresty_module_signs_cookies_and_counts_logins() -> None:
    """The module works as it is, from all states it counts in one dictionary, and it logs."""
    code, out, err = await run("openresty_module.py")
    assert code == 0
    cookie, *rest = out.splitlines()
    assert re.fullmatch(r"a cookie: YWRh\.\d+\.[\w+/]{27}=", cookie)
    assert rest == [
        "it belongs to ada",
        "with another name in it: (None, 'forged')",
        "after the logout: (None, 'logged out')",
        "of 20 logins at once 5 got a cookie, 15 did not",
        "counted: {'ada': 1, 'eve': 20}",
    ]
    line = r"WARNING openresty_module\.lua:\d+: eve has logged in (\d+) times within 60 s"
    counts = [re.fullmatch(line, warning) for warning in err.splitlines()]
    assert sorted(int(count[1]) for count in counts if count) == list(range(6, 21))
