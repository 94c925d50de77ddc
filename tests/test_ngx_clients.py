"""Clients of real servers over ``ngx.socket``, in tasks."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import resource
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from threadpool_lua import Chunk, ThreadPool

from .conftest import required

PATH = f"{Path(__file__).parent}/lua/?.lua;;"


@pytest.fixture
async def pool(lua: str) -> AsyncIterator[ThreadPool]:
    async with ThreadPool("clients", threads=2, lua=lua, package_path=PATH) as pool:
        yield pool


def need(what: str, *address: Any) -> None:
    """Skip a test, or fail it in CI, where nothing listens."""
    family = socket.AF_INET if len(address) == 2 else socket.AF_UNIX
    with socket.socket(family) as probe:
        if probe.connect_ex(address if len(address) == 2 else address[0]):
            required(what)


class TestRedis:
    @pytest.fixture(autouse=True)
    def there_is_one(self) -> None:
        need("Redis", "127.0.0.1", 6379)

    async def test_commands(self, pool: ThreadPool) -> None:
        code = """
            local redis = assert(require("resp").connect())
            assert(redis:call("SET", "threadpool_lua", "a\\r\\nb") == "OK")
            local value = redis:call("GET", "threadpool_lua")
            redis:call("DEL", "threadpool_lua")
            local _, why = redis:call("NONSENSE")
            return { value, redis:call("GET", "threadpool_lua") == null, why:sub(1, 19) }
        """

        assert await pool.submit(code) == ["a\r\nb", True, "ERR unknown command"]

    async def test_pipeline(self, pool: ThreadPool) -> None:
        code = """
            local commands = {}
            for i = 1, 10000 do commands[i] = { "ECHO", i } end
            local replies = assert(require("resp").connect()):pipeline(commands)
            for i = 1, 10000 do assert(replies[i] == tostring(i)) end
            return #replies
        """

        assert await pool.submit(code) == 10000

    async def test_large_values(self, pool: ThreadPool) -> None:
        code = """
            local redis, value = assert(require("resp").connect()), ("0123456789"):rep(1000000)
            return redis:call("ECHO", value) == value
        """

        assert await pool.submit(code)

    async def test_publish_and_subscribe(self, pool: ThreadPool) -> None:
        subscribe = Chunk("""
            local redis = assert(require("resp").connect())
            redis:call("SUBSCRIBE", "threadpool_lua")
            host.ready()
            return redis:reply()
        """)
        publish = "return require('resp').connect():call('PUBLISH', 'threadpool_lua', 'hello')"
        ready = asyncio.Semaphore(0)
        pool.function(ready.release, name="ready")

        subscribers = [pool.submit(subscribe) for _ in range(3)]
        for _ in subscribers:
            await ready.acquire()

        assert await pool.submit(publish) == 3
        for subscriber in subscribers:
            assert await subscriber == ["message", "threadpool_lua", "hello"]

    async def test_a_thousand_tasks_at_once(self, lua: str) -> None:
        """All are connected before the first goes on."""
        connected, all_connected = 0, asyncio.Event()

        async def arrive() -> None:
            nonlocal connected
            connected += 1
            if connected == 1000:
                all_connected.set()
            await all_connected.wait()

        chunk = Chunk("""
            local redis = assert(require("resp").connect())
            host.arrive()
            local reply = redis:call("ECHO", ...)
            redis.socket:close()
            return reply
        """)
        files = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(min(4096, files[1]), files[0]), files[1]))
        try:
            async with (
                asyncio.timeout(30),
                ThreadPool(threads=2, lua=lua, package_path=PATH) as pool,
            ):
                pool.function(arrive)

                replies = await asyncio.gather(*[pool.submit(chunk, n) for n in range(1000)])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, files)

        assert replies == [str(n) for n in range(1000)]

    async def test_a_thousand_tasks_share_ten_connections(self, lua: str) -> None:
        chunk = Chunk("""
            local options = { pool = "shared", pool_size = 10, backlog = 1000 }
            local redis = assert(require("resp").connect(options))
            local id = redis:call("CLIENT", "ID")
            assert(redis.socket:setkeepalive())
            return id
        """)
        async with asyncio.timeout(30), ThreadPool(threads=2, lua=lua, package_path=PATH) as pool:
            ids = await asyncio.gather(*[pool.submit(chunk) for _ in range(1000)])

        assert len(ids) == 1000
        assert 1 <= len(set(ids)) <= 10


class TestHttp:
    @pytest.fixture
    def port(self) -> Iterator[int]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.send_response(200)
                if self.path == "/chunked":
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    for chunk in (b"a" * 100_000, b"\r\n", b"0"):
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                    self.wfile.write(b"0\r\nX-Trailer: yes\r\n\r\n")
                elif self.path == "/until-close":
                    self.send_header("Connection", "close")
                    self.end_headers()
                    self.wfile.write(b"b" * 100_000)
                else:
                    self.send_header("Content-Length", str(len(self.path)))
                    self.end_headers()
                    self.wfile.write(self.path.encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(201)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[::-1])

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()
        server.server_close()

    async def test_bodies_of_all_kinds(self, pool: ThreadPool, port: int) -> None:
        code = """
            local http, port = require("http"), ...
            local bodies = {}
            for i, path in ipairs({ "/length", "/chunked", "/until-close" }) do
              bodies[i] = http.request(port, path).body
            end
            bodies[4] = http.request(port, "/", ("xy"):rep(1000000)).body
            return bodies
        """

        assert await pool.submit(code, port) == [
            "/length",
            "a" * 100_000 + "\r\n0",
            "b" * 100_000,
            "yx" * 1_000_000,
        ]

    async def test_a_connection_serves_one_task_after_the_other(
        self, pool: ThreadPool, port: int
    ) -> None:
        code = "return require('http').request(..., '/').reused"

        assert [await pool.submit(code, port) for _ in range(4)] == [0, 1, 2, 3]


class TestMariadb:
    @pytest.fixture(params=["port", "path"])
    def address(self, request: pytest.FixtureRequest) -> tuple[Any, ...]:
        if request.param == "port":
            need("MariaDB", "127.0.0.1", 3306)
            return "127.0.0.1", 3306
        need("MariaDB", "/run/mysqld/mysqld.sock")
        return ("unix:/run/mysqld/mysqld.sock",)

    async def test_queries(self, pool: ThreadPool, address: tuple[Any, ...]) -> None:
        code = """
            local database, why = require("mysql").connect(...)
            if not database then return why end
            local rows = assert(database:query("SELECT 6 * 7, NULL, REPEAT('x', 300) UNION "
              .. "SELECT 1, 'two', ''"))
            local _, failure = database:query("SELECT nonsense")
            return { rows, failure }
        """

        rows, failure = await pool.submit(code, *address)

        assert rows == [["42", None, "x" * 300], ["1", "two", ""]]
        assert "nonsense" in failure

    async def test_many_at_once(self, pool: ThreadPool, address: tuple[Any, ...]) -> None:
        code = Chunk("""
            local arguments = { ... }
            local n = table.remove(arguments, 1)
            local database = assert(require("mysql").connect((table.unpack or unpack)(arguments)))
            return database:query("SELECT SLEEP(0.01), " .. n)[1][2]
        """)

        results = await asyncio.gather(*[pool.submit(code, n, *address) for n in range(50)])

        assert results == [str(n) for n in range(50)]


class TestPostgres:
    @pytest.fixture
    def server(self) -> list[Any]:
        host, port = os.environ.get("PGHOST", "127.0.0.1"), int(os.environ.get("PGPORT", "5432"))
        need("PostgreSQL", host, port)
        user = os.environ.get("PGUSER", "postgres")
        password = os.environ.get("PGPASSWORD", "")
        return [host, port, user, password, os.environ.get("PGDATABASE", "postgres")]

    async def test_queries(self, pool: ThreadPool, server: list[Any]) -> None:
        pool.function(scram_begin)
        pool.function(scram_prove)
        code = """
            local database, why = require("postgres").connect(...)
            if not database then return { why } end
            local rows = assert(database:query("SELECT 6 * 7, NULL, repeat('x', 100000)"))
            local _, failure = database:query("SELECT nonsense")
            return { rows, failure, database:query("SELECT 1") }
        """

        result = await pool.submit(code, *server)

        assert result == [
            [["42", None, "x" * 100_000]],
            'column "nonsense" does not exist',
            [["1"]],
        ]


_NONCE_SIZE = 24


def scram_begin() -> str:
    """Return the client's first message of SCRAM-SHA-256 (RFC 7677)."""
    return f"n,,n=,r={secrets.token_hex(_NONCE_SIZE // 2)}"


def scram_prove(password: str, server_first: str) -> str:
    """Return the client's last message."""
    nonce, salt, iterations = (part[2:] for part in server_first.split(","))
    salted = hashlib.pbkdf2_hmac(
        "sha256", password.encode(), base64.b64decode(salt), int(iterations)
    )
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    without_proof = f"c=biws,r={nonce}"
    message = f"n=,r={nonce[:_NONCE_SIZE]},{server_first},{without_proof}"
    signature = hmac.digest(hashlib.sha256(client_key).digest(), message.encode(), "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    return f"{without_proof},p={base64.b64encode(proof).decode()}"
