"""The functions of ``ngx`` that only compute: their results are OpenResty's, or Python's own."""

from __future__ import annotations

import asyncio
import base64
import calendar
import email.utils
import hashlib
import hmac
import os
import time
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote_to_bytes, urlencode

import pytest
from hypothesis import strategies as st

from threadpool_lua import Chunk, LuaError, ThreadPool
from threadpool_lua._implementation import NAMES

from .helpers import examples

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

LONG = 3 * 2**20 + 1


@pytest.fixture
async def binary(lua: str) -> AsyncIterator[ThreadPool]:
    """A pool to which strings are bytes."""
    async with ThreadPool("binary", threads=1, lua=lua, encoding=None) as pool:
        yield pool


async def assert_same(
    pool: ThreadPool,
    lua: str,
    python: Callable[[Any], object],
    values: st.SearchStrategy[Any],
) -> None:
    """Assert that a Lua function of one value is the same as one in Python."""
    drawn = await asyncio.to_thread(examples, values, 100)
    code = f"local f, result = {lua}, {{}} for i, v in ipairs(...) do result[i] = f(v) end"
    results = await pool.submit(f"{code} return result", drawn)
    assert dict(zip(drawn, results, strict=True)) == {value: python(value) for value in drawn}


async def assert_error(pool: ThreadPool, call: str, message: str) -> None:
    with pytest.raises(LuaError) as caught:
        await pool.submit(Chunk(call, name="bad"))
    assert str(caught.value) == f"bad:1: {message}"


class TestHashes:
    @pytest.mark.parametrize(
        ("name", "python"),
        [
            ("md5", lambda s: hashlib.md5(s).hexdigest().encode()),
            ("md5_bin", lambda s: hashlib.md5(s).digest()),
            ("sha1_bin", lambda s: hashlib.sha1(s).digest()),
            ("crc32_short", zlib.crc32),
            ("crc32_long", zlib.crc32),
        ],
    )
    async def test_they_are_those_of_python(
        self, binary: ThreadPool, name: str, python: Callable[[bytes], object]
    ) -> None:
        await assert_same(binary, f"ngx.{name}", python, st.binary())

    async def test_of_what_is_no_string(self, pool: ThreadPool) -> None:
        empty = "d41d8cd98f00b204e9800998ecf8427e"
        assert await pool.submit("return ngx.md5(nil), ngx.md5(false), ngx.md5()") == (empty,) * 3
        assert await pool.submit("return ngx.md5(1.5) == ngx.md5('1.5')")
        assert await pool.submit("return ngx.crc32_short(12), ngx.crc32_long(true)") == (
            1330857165,
            4261170317,
        )

    async def test_hmac(self, binary: ThreadPool) -> None:
        drawn = await asyncio.to_thread(examples, st.tuples(st.binary(), st.binary()), 100)
        for key, data in drawn:
            result = await binary.submit("return ngx.hmac_sha1(...)", key, data)
            assert result == hmac.digest(key, data, "sha1")
        assert await binary.submit("return ngx.hmac_sha1(1, 2) == ngx.hmac_sha1('1', '2')")

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            ("ngx.hmac_sha1('k')", "expecting 2 arguments, but got 1"),
            ("ngx.hmac_sha1('k', 'd', 1)", "expecting 2 arguments, but got 3"),
            (
                "ngx.hmac_sha1({}, 'd')",
                "bad argument #1 to 'hmac_sha1' (string expected, got table)",
            ),
            (
                "ngx.hmac_sha1('k', nil)",
                "bad argument #2 to 'hmac_sha1' (string expected, got nil)",
            ),
        ],
    )
    async def test_wrong_arguments(self, pool: ThreadPool, call: str, message: str) -> None:
        await assert_error(pool, call, message)


class TestBase64:
    async def test_it_is_that_of_python(self, binary: ThreadPool) -> None:
        there, back = base64.b64encode, base64.b64decode
        await assert_same(binary, "ngx.encode_base64", there, st.binary())
        await assert_same(binary, "ngx.decode_base64", back, st.binary().map(there))
        await assert_same(
            binary,
            "function(s) return ngx.decode_base64(ngx.encode_base64(s, true)) end",
            bytes,
            st.binary(),
        )

    async def test_that_of_urls(self, binary: ThreadPool) -> None:
        def encode(data: bytes) -> bytes:
            return base64.urlsafe_b64encode(data).rstrip(b"=")

        module = "require('ngx.base64')"
        await assert_same(binary, f"{module}.encode_base64url", encode, st.binary())
        await assert_same(
            binary,
            f"{module}.decode_base64url",
            lambda text: base64.urlsafe_b64decode(text + b"=="),
            st.binary().map(encode),
        )

    async def test_large_strings(self, binary: ThreadPool) -> None:
        data = os.urandom(LONG)
        encoded = await binary.submit("return ngx.encode_base64(...)", data)
        assert encoded == base64.b64encode(data)
        assert await binary.submit("return ngx.decode_base64(...)", encoded) == data
        assert await binary.submit("return ngx.decode_base64(... .. '-')", encoded[:-4]) is None

    @pytest.mark.parametrize(
        ("text", "decoded"),
        [
            ("", ""),
            ("YQ==", "a"),
            ("YQ=", "a"),
            ("YQ", "a"),
            ("YR", "a"),  # with a bit too many
            ("YWI", "ab"),
            ("YQ==YQ==", "a"),  # padding is the end
            ("YWJj====", "abc"),
            ("=", ""),
            ("Y", None),
            ("YWJjZ", None),
            ("Y Q", None),
            ("YQ\n", None),
            ("-_", None),
        ],
    )
    async def test_nginx_decodes_in_its_own_way(
        self, pool: ThreadPool, text: str, decoded: str | None
    ) -> None:
        assert await pool.submit("return ngx.decode_base64(...)", text) == decoded

    async def test_mime(self, pool: ThreadPool) -> None:
        decode = "return ngx.decode_base64mime(...)"
        assert await pool.submit(decode, "YW\r\nJj Z-A==\n") == "abcd"
        assert await pool.submit(decode, "Y\n") is None

    async def test_of_what_is_no_string(self, pool: ThreadPool) -> None:
        assert await pool.submit("return ngx.encode_base64(), ngx.encode_base64(12)") == (
            "",
            "MTI=",
        )
        await assert_error(pool, "ngx.decode_base64()", "string argument only")
        await assert_error(pool, "ngx.decode_base64mime(1)", "string argument only")
        await assert_error(
            pool, "ngx.encode_base64('a', 1)", "bad no_padding: boolean expected, got number"
        )

    async def test_the_module_returns_its_errors(self, pool: ThreadPool) -> None:
        module = "local b = require 'ngx.base64' return "
        no_string = (None, "must provide a string")
        assert await pool.submit(module + "b.encode_base64url(1)") == no_string
        assert await pool.submit(module + "b.decode_base64url(1)") == no_string
        for text in "Y", "YT8+", " ":
            result = await pool.submit(module + "b.decode_base64url(...)", text)
            assert result == (None, "invalid input")


class TestUris:
    async def test_components_are_as_in_python(self, binary: ThreadPool) -> None:
        def escape(data: bytes) -> bytes:
            return quote(data, safe="!'()*~").encode()

        await assert_same(binary, "ngx.escape_uri", escape, st.binary())
        await assert_same(
            binary,
            "ngx.unescape_uri",
            lambda text: unquote_to_bytes(text.replace(b"+", b" ")),
            st.binary() | st.text("%+0aF", max_size=9).map(str.encode),
        )

    # Measured with nginx. All else is escaped.
    @pytest.mark.parametrize(
        ("kind", "safe"),
        [
            (0, "!\"$&'()*+,-./:;<=>@[\\]^_`{|}~"),
            (1, "!\"$&'()*,-./:;<=>@[\\]^_`{|}~"),
            (2, "!'()*-._~"),
            (3, "!$&()*+,-./:;<=>?@[\\]^_`{|}~"),
            (4, "!#$%&()*+,-./:;<=>?@[\\]^_`{|}~"),
            (5, "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"),
            (6, "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"),
        ],
    )
    async def test_types(self, binary: ThreadPool, kind: int, safe: str) -> None:
        all_bytes = bytes(range(256))
        expected = quote(all_bytes, safe).encode()
        if kind >= 5:
            for byte in range(127, 256):
                expected = expected.replace(b"%%%02X" % byte, bytes([byte]))
        assert await binary.submit("return ngx.escape_uri(...)", all_bytes, kind) == expected

    async def test_of_what_is_no_string(self, pool: ThreadPool) -> None:
        assert await pool.submit("return ngx.escape_uri(), ngx.escape_uri(12)") == ("", "12")
        assert await pool.submit("return ngx.unescape_uri(), ngx.unescape_uri(12)") == ("", "12")
        await assert_error(pool, "local s = ngx.escape_uri('a', 7)", '"type" 7 out of range')
        await assert_error(pool, "local s = ngx.escape_uri('a', -1)", '"type" -1 out of range')
        await assert_error(pool, "local s = ngx.escape_uri('a', 'b')", '"type" is not a number')


class TestArguments:
    async def test_they_come_back(self, binary: ThreadPool) -> None:
        values = st.binary() | st.just(True) | st.lists(st.binary() | st.just(True), min_size=2)
        drawn = await asyncio.to_thread(
            examples, st.dictionaries(st.binary(min_size=1), values), 100
        )
        for args in drawn:
            code = "return ngx.decode_args(ngx.encode_args(...), 0)"
            assert await binary.submit(code, args) == args

    async def test_they_are_those_of_python(self, pool: ThreadPool) -> None:
        values = st.lists(st.text(min_size=1), min_size=1)
        drawn = await asyncio.to_thread(
            examples, st.dictionaries(st.text(min_size=1), values, min_size=1), 100
        )
        for args in drawn:
            encoded = await pool.submit("return ngx.encode_args(...)", args)
            assert parse_qs(encoded) == args
            decoded = await pool.submit("return ngx.decode_args(...)", urlencode(args, True), 0)
            assert {k: v if isinstance(v, list) else [v] for k, v in decoded.items()} == args

    @pytest.mark.parametrize(
        ("args", "encoded"),
        [
            ("{}", ""),
            ("{ a = 'b c&' }", "a=b%20c%26"),
            ("{ ['a='] = '' }", "a%3D="),
            ("{ a = 12 }", "a=12"),
            ("{ a = 1.5 }", "a=1.5"),
            ("{ a = true }", "a"),
            ("{ a = false }", ""),
            ("{ a = { 1, true, false, 'x' } }", "a=1&a&a=x"),
            ("{ a = {} }", ""),
        ],
    )
    async def test_what_is_encoded(self, pool: ThreadPool, args: str, encoded: str) -> None:
        assert await pool.submit(f"return ngx.encode_args({args})") == encoded

    @pytest.mark.parametrize(
        ("encoded", "args"),
        [
            ("a=1&b&a=2", {"a": ["1", "2"], "b": True}),
            ("a&a=1&a", {"a": [True, "1", True]}),
            ("a=&b==c", {"a": "", "b": "=c"}),
            ("=1&&a=1&=", {"a": "1"}),
            ("a%20b=%41+c%zz", {"a b": "A c%zz"}),
            ("%3D=1&+=2", {"=": "1", " ": "2"}),
        ],
    )
    async def test_what_is_decoded(
        self, pool: ThreadPool, encoded: str, args: dict[str, object]
    ) -> None:
        assert await pool.submit("return ngx.decode_args(...)", encoded) == args

    async def test_the_number_of_arguments_is_limited(self, pool: ThreadPool) -> None:
        code = "local args, why = ngx.decode_args(...) return args, why or 'all'"
        many = "&".join(f"k{i}={i}" for i in range(100))
        hundred = {f"k{i}": str(i) for i in range(100)}
        assert await pool.submit(code, many) == (hundred, "all")
        assert await pool.submit(code, many + "&more") == (hundred, "truncated")
        assert await pool.submit(code, many + "&more", 0) == ({**hundred, "more": True}, "all")
        assert await pool.submit(code, "a&b&c", 2) == ({"a": True, "b": True}, "truncated")
        assert await pool.submit(code, "a&=&c", "2") == ({"a": True}, "truncated")
        assert await pool.submit(code, "a&b", -1) == ({"a": True, "b": True}, "all")

    async def test_many_of_them(self, pool: ThreadPool) -> None:
        args = {f"key {i}": f"väl {i}" for i in range(20_000)}
        code = "return ngx.decode_args(ngx.encode_args(...), 0)"
        assert await pool.submit(code, args) == args

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            ("ngx.encode_args()", "expecting 1 argument but seen 0"),
            (
                "ngx.encode_args('a')",
                "bad argument #1 to 'encode_args' (table expected, got string)",
            ),
            (
                "ngx.encode_args({ 1 })",
                'attempt to use a non-string key in the "args" option table',
            ),
            ("ngx.encode_args({ a = print })", "attempt to use function as query arg value"),
            ("ngx.encode_args({ a = ngx.null })", "attempt to use userdata as query arg value"),
            ("ngx.encode_args({ a = { {} } })", "attempt to use table as query arg value"),
            ("ngx.decode_args()", "expecting 1 or 2 arguments but seen 0"),
            ("ngx.decode_args('a', 1, 2)", "expecting 1 or 2 arguments but seen 3"),
            (
                "ngx.decode_args({})",
                "bad argument #1 to 'decode_args' (string expected, got table)",
            ),
            (
                "ngx.decode_args('a', 'x')",
                "bad argument #2 to 'decode_args' (number expected, got string)",
            ),
        ],
    )
    async def test_wrong_arguments(self, pool: ThreadPool, call: str, message: str) -> None:
        await assert_error(pool, call, message)


class TestQuoting:
    async def test_of_sql(self, binary: ThreadPool) -> None:
        all_bytes = bytes(range(256))
        quoted = all_bytes.replace(b"\\", b"\\\\")
        for byte, escape in zip(b"\0\b\t\n\r\x1a\"'", b"0btnrZ\"'", strict=True):
            quoted = quoted.replace(bytes([byte]), b"\\" + bytes([escape]))
        result = await binary.submit("return ngx.quote_sql_str(...)", all_bytes)
        assert result == b"'" + quoted + b"'"
        assert await binary.submit("return ngx.quote_sql_str(12)") == b"'12'"

    async def test_wrong_arguments(self, pool: ThreadPool) -> None:
        await assert_error(pool, "ngx.quote_sql_str()", "expecting one argument")
        await assert_error(pool, "ngx.quote_sql_str('a', 'b')", "expecting one argument")
        await assert_error(
            pool,
            "ngx.quote_sql_str({})",
            "bad argument #1 to 'quote_sql_str' (string expected, got table)",
        )


class TestTime:
    async def test_it_is_now(self, pool: ThreadPool) -> None:
        before = time.time()
        now, seconds = await pool.submit("ngx.update_time() return ngx.now(), ngx.time()")
        assert int(before * 1000) <= round(now * 1000) <= time.time() * 1000
        assert round(now * 1000) / 1000 == now
        assert int(before) <= seconds <= time.time()
        assert type(seconds) is int

    async def test_as_text(self, pool: ThreadPool) -> None:
        before = int(time.time())
        local, utc, today = await pool.submit("return ngx.localtime(), ngx.utctime(), ngx.today()")
        after = int(time.time())
        form = "%Y-%m-%d %H:%M:%S"
        assert before <= calendar.timegm(time.strptime(utc, form)) <= after
        assert before <= time.mktime(time.strptime(local, form)) <= after
        assert today in (local[:10], time.strftime("%Y-%m-%d"))

    async def test_http_times_are_as_in_python(self, binary: ThreadPool) -> None:
        def formatted(seconds: int) -> bytes:
            return email.utils.formatdate(seconds, usegmt=True).encode()

        seconds = st.integers(0, 253402300799)
        await assert_same(binary, "ngx.http_time", formatted, seconds)
        await assert_same(
            binary, "function(s) return ngx.parse_http_time(ngx.http_time(s)) end", int, seconds
        )

    @pytest.mark.parametrize(
        ("call", "text"),
        [
            ("ngx.http_time(0)", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("ngx.http_time(1.9)", "Thu, 01 Jan 1970 00:00:01 GMT"),
            ("ngx.http_time(-1)", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("ngx.http_time(1e300)", "Fri, 31 Dec 9999 23:59:59 GMT"),
            ("ngx.http_time(0/0)", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("ngx.cookie_time(0)", "Thu, 01-Jan-70 00:00:00 GMT"),
            ("ngx.cookie_time(2145916799)", "Thu, 31-Dec-37 23:59:59 GMT"),
            ("ngx.cookie_time(2147483648)", "Tue, 19-Jan-2038 03:14:08 GMT"),
        ],
    )
    async def test_times_as_text(self, pool: ThreadPool, call: str, text: str) -> None:
        assert await pool.submit(f"return {call}") == text

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
            ("Sun Nov  6 08:49:37 1994", 784111777),
            ("Sun Nov 16 08:49:37 1994", 784975777),
            ("Sun,06 Nov 1994 08:49:37", 784111777),
            ("Sunday, 06-Nov-69 08:49:37 GMT", 3150953377),
            ("Sunday, 06-Nov-70 08:49:37 GMT", 26729377),
            ("Sun, 06 Nov 1969 08:49:37 GMT", -4806623),
            ("Tue, 29 Feb 2000 00:00:00 GMT", 951782400),
            ("Thu, 29 Feb 2001 00:00:00 GMT", None),
            ("Sun, 06 Nov 1994 24:49:37 GMT", None),
            ("Sun, 06 Nov 1994 23:59:60 GMT", None),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 nov 1994 08:49:37 GMT", None),
            ("yesterday", None),
            ("", None),
        ],
    )
    async def test_parsing(self, pool: ThreadPool, text: str, seconds: int | None) -> None:
        assert await pool.submit("return ngx.parse_http_time(...)", text) == seconds

    async def test_wrong_arguments(self, pool: ThreadPool) -> None:
        await assert_error(pool, "ngx.http_time('0')", "number argument only")
        await assert_error(pool, "ngx.cookie_time()", "number argument only")
        await assert_error(pool, "ngx.parse_http_time(0)", "string argument only")


class TestSurroundings:
    async def test_constants(self, pool: ThreadPool) -> None:
        assert await pool.submit("return ngx.OK, ngx.ERROR, ngx.AGAIN, ngx.DONE, ngx.DECLINED") == (
            0,
            -1,
            -2,
            -4,
            -5,
        )
        assert await pool.submit("return ngx.HTTP_NOT_FOUND, ngx.HTTP_POST, ngx.ERR") == (404, 8, 4)
        assert await pool.submit("return ngx.null == null")

    async def test_config(self, pool: ThreadPool) -> None:
        assert await pool.submit("return ngx.config.subsystem, ngx.config.debug") == ("http", False)
        assert await pool.submit("return ngx.config.prefix()") == os.path.join(os.getcwd(), "")
        assert await pool.submit("return ngx.config.nginx_configure()") == ""
        assert await pool.submit("return ngx.config.ngx_lua_version >= 10028")
        assert await pool.submit("return ngx.config.nginx_version >= 1027001")

    async def test_worker(self, pool: ThreadPool) -> None:
        pid = os.getpid()
        assert await pool.submit("return ngx.worker.pid(), ngx.worker.pids()") == (pid, [pid])
        assert await pool.submit("return ngx.worker.id(), ngx.worker.count()") == (0, 1)
        assert await pool.submit("return ngx.worker.exiting()") is False

    async def test_phases(self, lua: str) -> None:
        init = "phase, pids, why = ngx.get_phase(), ngx.worker.pids()"
        async with ThreadPool(threads=1, lua=lua, init=init) as pool:
            assert await pool.submit("return ngx.get_phase(), phase") == ("timer", "init")
            assert await pool.submit("return why") == "API disabled in the current context"

    async def test_ctx_is_a_table_of_the_task(self, pool: ThreadPool) -> None:
        source = """
            assert(next(ngx.ctx) == nil)
            ngx.ctx.user = ...
            ngx.sleep(0)
            ngx.thread.wait(ngx.thread.spawn(function() ngx.ctx.also = ngx.ctx.user end))
            local ctx = ngx.ctx
            ngx.ctx = {replaced = ctx.also}
            return ngx.ctx.replaced
        """
        users = [pool.submit(source, n) for n in range(10)]
        assert await asyncio.gather(*users) == list(range(10))

    async def test_a_module_sees_the_ctx_of_the_task(self, lua: str, tmp_path: Path) -> None:
        (tmp_path / "who.lua").write_text("return function() return ngx.ctx.user end")
        path = f"{tmp_path}/?.lua"
        async with ThreadPool(threads=1, lua=lua, package_path=path) as pool:
            for user in 1, 2:
                assert await pool.submit("ngx.ctx.user = ... return require('who')()", user) == user

    async def test_there_is_no_ctx_without_isolation(self, lua: str) -> None:
        async with ThreadPool(threads=1, lua=lua, isolation="none") as pool:
            with pytest.raises(LuaError, match=":1: ngx.ctx is not available where tasks have no"):
                await pool.submit("ngx.ctx.x = 1")

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            ("ngx.say('x')", "ngx.say is not available in a thread pool: a task has no"),
            ("ngx.req.get_headers()", "ngx.req.get_headers is not available in a thread pool: a"),
            ("ngx.location.capture('/')", "ngx.location.capture is not available in a thread"),
            ("return ngx.var.uri", "ngx.var.uri is not available in a thread pool: a task has no"),
            ("ngx.header['X-A'] = 1", "ngx.header.X-A is not available in a thread pool: a task"),
            ("return ngx.arg[1]", "ngx.arg[1] is not available in a thread pool: a task has no"),
            ("ngx.timer.at(0, print)", "ngx.timer.at is not available in a thread pool: submit"),
        ],
    )
    async def test_what_makes_no_sense(self, pool: ThreadPool, call: str, message: str) -> None:
        with pytest.raises(LuaError) as caught:
            await pool.submit(Chunk(call, name="bad"))
        assert str(caught.value).startswith(f"bad:1: {message}")

    async def test_modules_may_keep_it_at_their_top(self, pool: ThreadPool) -> None:
        assert await pool.submit("""
            local say, var, get_headers = ngx.say, ngx.var, ngx.req.get_headers
            return type(say), type(var), type(get_headers), ngx.nothing
        """) == ("function", "table", "function", None)


EVERYTHING = """
    local base64, nkeys = require "ngx.base64", require "table.nkeys"
    local args = ngx.decode_args(ngx.encode_args({ ["a b"] = { "c&", true } }))
    return { ngx.HTTP_OK, ngx.md5(""), ngx.crc32_long("abc"), ngx.hmac_sha1("k", "d") ~= nil,
      ngx.encode_base64("a"), base64.encode_base64url("a?>"), args["a b"], nkeys(args),
      ngx.quote_sql_str("it's\\0"), ngx.http_time(784111777.5), ngx.time() <= ngx.now(),
      ngx.config.subsystem, pcall(ngx.say) }
"""


@pytest.mark.parametrize("lua", NAMES)
@pytest.mark.parametrize("options", [{}, {"time_limit": 10, "memory_limit": 2**25}])
async def test_all_implementations(lua: str, options: dict[str, Any]) -> None:
    if lua == "luajit20":
        options = {name: limit for name, limit in options.items() if name != "memory_limit"}
    async with ThreadPool(threads=1, lua=lua, **options) as pool:
        *results, why = await pool.submit(EVERYTHING)
        assert results == [
            200,
            "d41d8cd98f00b204e9800998ecf8427e",
            891568578,
            True,
            "YQ==",
            "YT8-",
            ["c&", True],
            1,
            "'it\\'s\\0'",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            True,
            "http",
            False,
        ]
        assert why.startswith("ngx.say is not available in a thread pool")


class TestModules:
    async def test_of_luajit(self, pool: ThreadPool) -> None:
        assert await pool.submit("""
            local new, clear = require "table.new", require "table.clear"
            local clone, nkeys = require "table.clone", require "table.nkeys"
            local isarray, isempty = require "table.isarray", require "table.isempty"
            local t = new(2, 1)
            t[1], t.a = "x", "y"
            local copy = clone(setmetatable(t, {}))
            local count = nkeys(t)
            clear(t)
            return { next(t) == nil, isempty(t), isempty(copy), count, copy[1], copy.a,
                     getmetatable(copy) == nil, isarray({ 1, nil, 3 }), isarray({ a = 1 }) }
        """) == [True, True, False, 2, "x", "y", True, True, False]
        await assert_error(
            pool,
            "require('table.nkeys')(nil)",
            "bad argument #1 to 'nkeys' (table expected, got nil)",
        )

    async def test_of_openresty(self, pool: ThreadPool) -> None:
        assert await pool.submit("""
            require "resty.core"
            require "resty.core.shdict"
            local base, time = require "resty.core.base", require "resty.core.time"
            base.allows_subsystem("http", "stream")
            local from = time.monotonic_msec()
            return type(base.version), type(base.new_tab(1, 1)), base.get_request(),
              time.monotonic_time() * 1000 >= from
        """) == ("string", "table", None, True)


async def test_digests_of_resty_string(pool: ThreadPool) -> None:
    source = """
        local name, first, second = ...
        local digest = require("resty." .. name):new()
        assert(digest:update("something else") and digest:reset())
        assert(digest:update(first) and digest:update(second))
        return require("resty.string").to_hex(digest:final())
    """
    for name in "md5", "sha1", "sha224", "sha256", "sha384", "sha512":
        expected = hashlib.new(name, b"some text").hexdigest()
        assert await pool.submit(source, name, "some ", "text") == expected


async def test_other_modules_of_resty_string(pool: ThreadPool) -> None:
    source = """
        local bytes, atoi = require("resty.random").bytes, require("resty.string").atoi
        return #bytes(16), #bytes(0), bytes(16) ~= bytes(16, true), atoi("12"), {atoi("x")}
    """
    assert await pool.submit(source) == (16, 0, True, 12, {2: "not a number"})
