"""``ngx.re`` and the module ``ngx.re``: OpenResty's functions, on PCRE2."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import strategies as st

from threadpool_lua import Chunk, LuaError, LuaTimeLimitError, ThreadPool
from threadpool_lua._implementation import NAMES
from threadpool_lua._ngx import regex

from .helpers import examples

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

SPLIT = "require('ngx.re').split"
TOO_MANY_STEPS = "pcre_exec() failed: -47"


async def assert_results(pool: ThreadPool, *cases: tuple[str, object]) -> None:
    """Assert what some expressions return."""
    for expression, expected in cases:
        assert await pool.submit(f"return {expression}") == expected, expression


async def assert_error(pool: ThreadPool, call: str, message: str) -> None:
    with pytest.raises(LuaError) as caught:
        await pool.submit(Chunk(f"local re = ngx.re {call}", name="bad"))
    assert str(caught.value) == f"bad:1: {message}"


class TestMatch:
    async def test_captures(self, pool: ThreadPool) -> None:
        await assert_results(
            pool,
            ("ngx.re.match('order 66', '[0-9]+')", {0: "66"}),
            ("ngx.re.match('k=v', '([a-z])=([a-z])')", {0: "k=v", 1: "k", 2: "v"}),
            ("ngx.re.match('b', '(a)?b(c)?')", {0: "b", 1: False, 2: False}),
            ("ngx.re.match('ac', '(a)(b)?(c)')", {0: "ac", 1: "a", 2: False, 3: "c"}),
            ("ngx.re.match('a\\0b', 'a\\0(b)')", {0: "a\0b", 1: "b"}),
            ("ngx.re.match('', '')", {0: ""}),
        )

    async def test_without_a_match_there_is_one_nil(self, pool: ThreadPool) -> None:
        await assert_results(
            pool,
            ("select('#', ngx.re.match('a', 'b'))", 1),
            ("select('#', ngx.re.find('a', 'b'))", 1),
            ("ngx.re.match('a', 'b') == nil and ngx.re.find('a', 'b') == nil", True),
        )

    async def test_names(self, pool: ThreadPool) -> None:
        date = {0: "2026-11", 1: "2026", 2: "11", "year": "2026", "month": "11"}
        await assert_results(
            pool,
            ("ngx.re.match('in 2026-11', '(?<year>[0-9]+)-(?<month>[0-9]+)')", date),
            ("ngx.re.match('b', '(?<a>a)?b')", {0: "b", 1: False, "a": False}),
            # More than one of a name: lists with the option D, and the last without it.
            (
                "ngx.re.match('a1', '(?<x>[a-z])(?<x>[0-9])', 'D')",
                {0: "a1", 1: "a", 2: "1", "x": ["a", "1"]},
            ),
            (
                "ngx.re.match('a', '(?<x>[a-z])|(?<x>[0-9])', 'D')",
                {0: "a", 1: "a", 2: False, "x": ["a"]},
            ),
            ("ngx.re.match('-', '(?<x>a)|(?<x>b)|-', 'D')", {0: "-", 1: False, 2: False}),
            (
                "ngx.re.match('a1', '(?J)(?<x>[a-z])(?<x>[0-9])')",
                {0: "a1", 1: "a", 2: "1", "x": "1"},
            ),
        )

    async def test_a_table_for_the_result(self, pool: ThreadPool) -> None:
        code = """
        local mine = { "old", "old", "old", x = { "old" }, other = 1 }
        local result = ngx.re.match("a", "(?<x>a)(b)?", "D", nil, mine)
        return rawequal(result, mine), result
        """
        assert await pool.submit(code) == (
            True,
            {0: "a", 1: "a", 2: False, 3: "old", "x": ["a"], "other": 1},
        )

    async def test_the_position_of_the_context(self, pool: ThreadPool) -> None:
        code = """
        local context, found = {}, {}
        repeat
          local m = ngx.re.match("a1b22", "[0-9]+", "o", context)
          found[#found + 1] = m and m[0] .. " to " .. context.pos
        until not m
        found[#found + 1] = context.pos -- A failure leaves it as it is.
        return found
        """
        assert await pool.submit(code) == ["1 to 3", "22 to 6", 6]
        await assert_results(
            pool,
            ("ngx.re.find('abab', 'a', '', { pos = 2 })", (3, 3)),
            ("ngx.re.find('abab', '(?<=a)b', '', { pos = 2 })", (2, 2)),
            ("ngx.re.find('abab', '^b', '', { pos = 2 })", None),
            ("ngx.re.find('abab', 'b', 'a', { pos = 2 })", (2, 2)),
            ("ngx.re.find('ab', '', '', { pos = 3 })", (3, 2)),
            ("ngx.re.find('ab', '', '', { pos = 0 })", (1, 0)),
            ("ngx.re.find('ab', '', '', { pos = -7 })", (1, 0)),
            ("ngx.re.find('ab', '', '', { pos = 1 / 0 })", (None, None, "pcre_exec() failed: -33")),
            ("ngx.re.find('ab', '', '', { pos = 4 })", (None, None, "pcre_exec() failed: -33")),
        )

    async def test_find(self, pool: ThreadPool) -> None:
        arguments = "'xaccb', '(a)(b)?(cc)', ''"
        await assert_results(
            pool,
            ("ngx.re.find('hello, 1234', '[0-9]+')", (8, 11)),
            ("ngx.re.find('hello', '')", (1, 0)),
            (f"ngx.re.find({arguments}, nil, 0)", (2, 4)),
            (f"ngx.re.find({arguments}, nil, -1)", (2, 4)),
            (f"ngx.re.find({arguments}, nil, 1)", (2, 2)),
            (f"ngx.re.find({arguments}, nil, 2)", (None, None)),
            (f"ngx.re.find({arguments}, nil, 3)", (3, 4)),
            (f"ngx.re.find({arguments}, nil, 4)", (None, None, "nth out of bound")),
        )
        code = (
            "local c = {} local from, to = ngx.re.find('xab', '(a)b', '', c, 1) return from, to, c"
        )
        assert await pool.submit(code) == (2, 2, {"pos": 4})

    async def test_subjects_and_patterns_become_strings(self, pool: ThreadPool) -> None:
        await assert_results(
            pool,
            ("ngx.re.match(nil, 'n(i)')", {0: "ni", 1: "i"}),
            ("ngx.re.match(true, 'u')", {0: "u"}),
            ("ngx.re.match(1234, 23)", {0: "23"}),
            ("ngx.re.gsub(12, 1, 3)", ("32", 1)),
        )


class TestOptions:
    async def test_each(self, pool: ThreadPool) -> None:
        def find(subject: str, pattern: str, options: str) -> str:
            return f"ngx.re.find({subject!r}, {pattern!r}, {options!r})"

        await assert_results(
            pool,
            (find("ba", "a", ""), (2, 2)),
            (find("ba", "a", "a"), None),
            (find("BA", "a", ""), None),
            (find("BA", "a", "i"), (2, 2)),
            (find("a\nb", "^b$", ""), None),
            (find("a\nb", "^b$", "m"), (3, 3)),
            (find("a\nb", "a.b", ""), None),
            (find("a\nb", "a.b", "s"), (1, 3)),
            (find("ab", "a b # both", ""), None),
            (find("ab", "a b # both", "x"), (1, 2)),
            (find("baa", "a+?|b?a+", "j"), (1, 3)),
            (find("baa", "a+?|b?a+", "jo"), (1, 3)),
            (find("BA\nA", "b .* a", "isxjo"), (1, 4)),
        )

    async def test_d_finds_the_longest(self, pool: ThreadPool) -> None:
        await assert_results(
            pool,
            ("ngx.re.match('hello', 'h|hell(o)?|he')", {0: "h", 1: False}),
            ("ngx.re.match('hello', 'h|hell(o)?|he', 'd')", {0: "hello"}),
            ("ngx.re.match('hello', '(?<x>h)(e)', 'd')", {0: "he"}),
            ("ngx.re.find('hello', '(h)', 'd', nil, 1)", (None, None, "nth out of bound")),
            ("ngx.re.gsub('hello', '(l)', '[$0$1]', 'd')", ("he[l][l]o", 2)),
        )

    async def test_as_javascript_has_it(self, pool: ThreadPool) -> None:
        await assert_results(
            pool,
            ("ngx.re.find('b', '(a)?\\\\1b')", None),
            ("ngx.re.find('b', '(a)?\\\\1b', 'J')", (1, 1)),
            ("ngx.re.find(']', '[^]', 'J')", (1, 1)),
            ("ngx.re.find('A', '\\\\u0041', 'J')", (1, 1)),
        )

    async def test_utf8(self, pool: ThreadPool) -> None:
        await assert_results(
            pool,
            ("ngx.re.find('é', '^.$')", None),
            ("ngx.re.find('é', '^.$', 'u')", (1, 2)),
            ("ngx.re.find('É', 'é', 'iu')", (1, 2)),
            ("ngx.re.find('é', '^.$', 'U')", (1, 2)),
            # What is no UTF-8 is an error with u; with U it is passed over.
            ("ngx.re.find('\\255a', 'a', 'u')", (None, None, "pcre_exec() failed: -23")),
            ("ngx.re.find('\\255a', 'a', 'U')", (2, 2)),
            ("ngx.re.find('\\255a', 'a', 'dU')", (None, None, "pcre_exec() failed: -23")),
            ("ngx.re.find('é', '.', 'u', { pos = 2 })", (None, None, "pcre_exec() failed: -36")),
            ("ngx.re.gsub('éa', '', '-', 'u')", ("-é-a-", 3)),
            ("ngx.re.gsub('éa', 'x*', '-', 'U')", ("-é-a-", 3)),
            (f"{SPLIT}('éaé', '', 'u')", ["é", "a", "é"]),
        )

    @pytest.mark.parametrize(
        "call", ["match('a', 'a', ", "gmatch('a', 'a', ", "gsub('a', 'a', 0, "]
    )
    async def test_unknown_ones(self, pool: ThreadPool, call: str) -> None:
        await assert_error(pool, f"re.{call} 'iz')", 'unknown flag "z" (flags "iz")')


class TestErrors:
    async def test_of_patterns(self, pool: ThreadPool) -> None:
        no_end = 'pcre2_compile() failed: missing closing parenthesis in "(a"'
        no_item = (
            "pcre2_compile() failed: quantifier does not follow a repeatable item"
            ' in "a(b**c)" at "*c)"'
        )
        await assert_results(
            pool,
            ("ngx.re.match('a', '(a')", (None, no_end)),
            ("ngx.re.find('a', '(a')", (None, None, no_end)),
            ("ngx.re.gmatch('a', '(a')", (None, no_end)),
            ("ngx.re.sub('a', '(a', '')", (None, None, no_end)),
            ("ngx.re.gsub('a', '(a', tostring)", (None, None, no_end)),
            (f"{SPLIT}('a', '(a')", (None, no_end)),
            ("ngx.re.match('a', 'a(b**c)')", (None, no_item)),
            ("#select(2, ngx.re.match('a', ('a'):rep(1000) .. '('))", 127),
            ("ngx.re.find('a', ('#\\n'):rep(40000), 'x') == nil", True),
        )

    async def test_of_matches(self, pool: ThreadPool) -> None:
        arguments = "('a'):rep(30), '(?:a|a)*?[bc]'"
        await assert_results(
            pool,
            (f"ngx.re.match({arguments})", (None, TOO_MANY_STEPS)),
            (f"ngx.re.match({arguments}, 'j')", (None, TOO_MANY_STEPS)),
            (f"ngx.re.find({arguments})", (None, None, TOO_MANY_STEPS)),
            (f"ngx.re.gsub({arguments}, '')", (None, None, TOO_MANY_STEPS)),
            (f"{SPLIT}({arguments})", (None, TOO_MANY_STEPS)),
            ("ngx.re.find('aa', '(a)\\\\1', 'd')", (None, None, "pcre_exec() failed: -42")),
        )

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            ("re.match('a')", "bad argument #2 to 'match' (string expected, got nil)"),
            ("re.match('a', {})", "bad argument #2 to 'match' (string expected, got table)"),
            ("re.find('a', 'a', 1)", "bad argument #3 to 'find' (string expected, got number)"),
            ("re.find('a', 'a', '', 1)", "bad argument #4 to 'find' (table expected, got number)"),
            ("re.sub('a', 'a', '', {})", "bad argument #4 to 'sub' (string expected, got table)"),
            ("require('ngx.re').split('a', 'a', '', nil, 0, 1)", "res is not a table"),
            ("require('ngx.re').opt('x')", "unrecognized option name"),
        ],
    )
    async def test_of_arguments(self, pool: ThreadPool, call: str, message: str) -> None:
        await assert_error(pool, call, message)

    async def test_without_the_library(self, lua: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(regex, "_library_name", lambda: None)
        async with ThreadPool("test", threads=1, lua=lua) as pool:
            with pytest.raises(LuaError, match=r"^ngx\.re needs the library PCRE2 \(libpcre2-8\)"):
                await pool.submit("ngx.re.find('a', 'a')")


class TestGmatch:
    async def test_all_matches(self, pool: ThreadPool) -> None:
        code = """
        local subject, pattern, options = ...
        local found = {}
        for m, why in ngx.re.gmatch(subject, pattern, options) do
          found[#found + 1] = m and m[1] or m and m[0] or why
        end
        return found
        """
        for arguments, expected in (
            (("a=1, b=2", "([a-z])="), ["a", "b"]),
            (("a1b22", "[0-9]*"), ["", "1", "", "22", ""]),
            (("", "x*"), [""]),
            (("ab", "$|a"), ["a", ""]),
            (("éa", "x*", "u"), ["", "", ""]),
            (("abab", "(?<=a)(b)"), ["b", "b"]),
            (("aab", r"\Ga"), ["a", "a"]),
            (("a\xff", "a", "u"), ["a"]),
            (("ab" * 3000, "b"), ["b"] * 3000),
        ):
            assert await pool.submit(code, *arguments) == expected, arguments

    async def test_it_ends_once(self, pool: ThreadPool) -> None:
        await assert_results(
            pool,
            (
                "(function(f) return { f(), f() == nil, f() == nil } end)(ngx.re.gmatch('a', 'a'))",
                [{0: "a"}, True, True],
            ),
        )
        code = """
        local f = ngx.re.gmatch("a" .. ("b"):rep(40) , "a|(?:b|b)*?[cd]")
        local found = f()[0]
        local nothing, why = f()
        return found, nothing, why, f()
        """
        assert await pool.submit(code) == ("a", None, TOO_MANY_STEPS, None)

    async def test_several_at_once(self, pool: ThreadPool) -> None:
        code = """
        local found = {}
        for a in ngx.re.gmatch("1 2 3", "[0-9]", "o") do
          for b in ngx.re.gmatch("x y", "[a-z]", "o") do
            found[#found + 1] = a[0] .. b[0]
          end
        end
        return found
        """
        assert await pool.submit(code) == ["1x", "1y", "2x", "2y", "3x", "3y"]


class TestReplace:
    async def test_sub_and_gsub(self, pool: ThreadPool) -> None:
        await assert_results(
            pool,
            ("ngx.re.sub('a1b2', '[0-9]', '')", ("ab2", 1)),
            ("ngx.re.gsub('a1b2', '[0-9]', '')", ("ab", 2)),
            ("ngx.re.gsub('ab', 'x', '-')", ("ab", 0)),
            ("ngx.re.gsub('hello', '', '-')", ("-h-e-l-l-o-", 6)),
            ("ngx.re.gsub('baac', 'a*', '-')", ("-b--c-", 4)),
            ("ngx.re.gsub('aaa', '^a', 'x')", ("xaa", 1)),
            ("ngx.re.gsub('a\\nb', '$', '!', 'm')", ("a!\nb!", 2)),
            ("ngx.re.gsub('Ab', '[a-z]', 'x', 'i')", ("xx", 2)),
            ("ngx.re.gsub(('ab'):rep(3000), 'b', '') == ('a'):rep(3000)", True),
        )

    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            ("[$0]", "[ab]c"),
            ("$2$1", "bac"),
            ("${2}1$11", "b1c"),  # of which there is no 11th
            ("$1x", "axc"),
            ("$01", "ac"),
            ("$$1", "$1c"),
            ("$3", "c"),  # has not taken part
            ("$9", "c"),
            ("\\1%1", "\\1%1c"),
            (7, "7c"),
            (True, "Truec"),
        ],
    )
    async def test_templates(self, pool: ThreadPool, template: object, expected: str) -> None:
        code = "return (ngx.re.sub('abc', '(a)(b)(x)?', ...))"
        assert (await pool.submit(code, template)).lower() == expected.lower()

    @pytest.mark.parametrize("template", ["$", "a$-", "$x", "${x}", "${1", "${}", "\\$"])
    async def test_bad_templates(self, pool: ThreadPool, template: str) -> None:
        why = "failed to compile the replacement template"
        assert await pool.submit("return ngx.re.gsub('a', 'a', ...)", template) == (None, None, why)

    async def test_functions(self, pool: ThreadPool) -> None:
        await assert_results(
            pool,
            (
                "ngx.re.gsub('a1 b', '([a-z])([0-9])?', "
                "function(m) return '<' .. m[1] .. tostring(m[2]) .. '$0>' end)",
                ("<a1$0> <bfalse$0>", 2),
            ),
            ("ngx.re.sub('ab', '.', function() return 1 end)", ("1b", 1)),
            ("ngx.re.sub('ab', '.', function() return nil end)", ("nilb", 1)),
        )
        with pytest.raises(LuaError, match="mine") as caught:
            await pool.submit("ngx.re.gsub('a', 'a', function() error('mine') end)")
        assert caught.value.line == 1

    async def test_functions_that_use_regular_expressions_themselves(
        self, pool: ThreadPool
    ) -> None:
        code = """
        return ngx.re.gsub("a-1 b-2", "([a-z])-([0-9])", function(m)
          -- More patterns than are kept, too.
          for i = 1, 1100 do assert(ngx.re.find("x" .. i, "x" .. i .. "$", "o")) end
          return (ngx.re.gsub(m[0], "(.)-(.)", function(n) return n[2] .. m[1] .. n[1] end))
        end, "o")
        """
        assert await pool.submit(code) == ("1aa 2bb", 2)

    async def test_functions_that_pause(self, lua: str) -> None:
        async def double(text: str) -> str:
            await asyncio.sleep(0)
            return text * 2

        async with ThreadPool("test", threads=2, lua=lua, functions={"double": double}) as pool:
            code = """
            local function twice(m) return host.double(m[0]) end
            return (ngx.re.gsub(..., "[a-z]", twice))
            """
            tasks = [pool.submit(code, text) for text in ("a1b", "2c", "de3")]
            assert await asyncio.gather(*tasks) == ["aa1bb", "2cc", "ddee3"]


class TestModule:
    async def test_split(self, pool: ThreadPool) -> None:
        lines = "'ab\\ncd\\nef'"
        await assert_results(
            pool,
            (f"{SPLIT}('a,b,c', ',')", ["a", "b", "c"]),
            (f"{SPLIT}('abc', ',')", ["abc"]),
            (f"{SPLIT}('', ',')", {}),
            (f"{SPLIT}(',a,,b,,', ',')", ["", "a", "", "b"]),
            (f"{SPLIT}(',,', ',')", {}),
            (f"{SPLIT}('a,b;c', '(,)|;')", ["a", ",", "b", "c"]),
            (f"{SPLIT}('a,b;c', '([,;])', 'jo')", ["a", ",", "b", ";", "c"]),
            (f"{SPLIT}('abc', '')", ["a", "b", "c"]),
            (f"{SPLIT}('abc', '()')", ["a", "", "b", "", "c"]),
            (f"{SPLIT}('aBcD', '(?=[A-Z])')", ["a", "Bc", "D"]),
            (f"{SPLIT}('a1b22c', '[0-9]*')", ["a", "b", "c"]),
            (f"{SPLIT}({lines}, '^')", ["ab\ncd\nef"]),
            (f"{SPLIT}({lines}, '^', 'm')", ["ab\n", "cd\n", "ef"]),
            (f"{SPLIT}(12345, '3')", ["12", "45"]),
        )

    async def test_split_into_so_many(self, pool: ThreadPool) -> None:
        for most, expected in (
            (-1, ["a", "b"]),
            (0, ["a", "b"]),
            (1, ["a,b,,"]),
            (2, ["a", "b,,"]),
            (3, ["a", "b", ","]),
            (4, ["a", "b", "", ""]),
            (9, ["a", "b", "", ""]),
        ):
            split = await pool.submit(f"return {SPLIT}('a,b,,', ',', nil, nil, ...)", most)
            assert split == expected
        await assert_results(
            pool,
            (f"{SPLIT}('abc', '', nil, nil, 2)", ["a", "bc"]),
            (f"{SPLIT}('a,b,c', '(,)', nil, nil, 2)", ["a", ",", "b,c"]),
        )

    async def test_split_from_a_position_into_a_table(self, pool: ThreadPool) -> None:
        await assert_results(
            pool,
            (f"{SPLIT}('a,b,c', ',', nil, {{ pos = 3 }})", ["b", "c"]),
            (f"{SPLIT}('a,b,c', ',', nil, {{}})", ["a", "b", "c"]),
            (f"{SPLIT}('a,b,c', ',', nil, {{ pos = 9 }}, nil, {{ 1, 2 }})", {2: 2}),
            (
                f"{SPLIT}('a,b', ',', nil, nil, nil, {{ 'w', 'x', 'y', 'z' }})",
                {1: "a", 2: "b", 4: "z"},
            ),
        )

    async def test_the_stack_of_compiled_patterns(self, lua: str) -> None:
        async with ThreadPool("test", threads=1, lua=lua) as pool:
            code = """
            local opt = require("ngx.re").opt
            local subject, pattern = ("ab"):rep(10000) .. "c", "(?:[^<c]|<(?!b))*c"
            opt("jit_stack_size", 8 * 1024 * 1024)
            local from, to, why = ngx.re.find(subject, pattern, "j")
            assert(from == 1 and to == 20001, why)
            ngx.re.find(subject, pattern, "jo")
            opt("jit_stack_size", 128 * 1024)
            """
            with pytest.raises(LuaError) as caught:
                await pool.submit(Chunk(code, name="opt"))
            assert caught.value.message == (
                "opt:8: changing jit stack size is not allowed when some regexs have already been "
                "compiled and cached"
            )


class TestInPools:
    @pytest.mark.parametrize("implementation", NAMES)
    async def test_all_implementations(self, implementation: str) -> None:
        async with ThreadPool("test", threads=1, lua=implementation, encoding=None) as pool:
            code = """
            local m = ngx.re.match("\\255 k=v", "(?<key>[a-z])=(x)?([a-z])", "jo")
            local text, count = ngx.re.gsub("a\\200b\\255", "[\\128-\\255]|()", "<$0>")
            local parts = require("ngx.re").split("a, b,c", ",\\\\s*", "d")
            return m, text, count, parts
            """
            assert await pool.submit(code) == (
                {0: b"k=v", 1: b"k", 2: False, 3: b"v", b"key": b"k"},
                b"<>a<\xc8><>b<\xff><>",
                5,
                [b"a", b"b", b"c"],
            )

    async def test_at_once_in_many_threads(self, lua: str) -> None:
        async with ThreadPool("test", threads=4, lua=lua) as pool:
            code = """
            local n, found = ..., 0
            for i = 1, 200 do
              local m = ngx.re.match("<" .. n * i .. ">", "<(" .. n * i .. "|x(y)?)>", "jo")
              if m[1] == tostring(n * i) then found = found + 1 end
            end
            return found
            """
            tasks = [pool.submit(code, n) for n in range(1, 33)]
            assert await asyncio.gather(*tasks) == [200] * 32

    async def test_in_init(self, lua: str) -> None:
        init = "words = {} for m in ngx.re.gmatch('a bc', '[a-z]+') do words[#words + 1] = m[0] end"
        async with ThreadPool("test", threads=1, lua=lua, init=init) as pool:
            assert await pool.submit("return words") == ["a", "bc"]

    async def test_what_takes_long_does_not_block_the_loop(self, lua: str) -> None:
        async with ThreadPool("test", threads=1, lua=lua) as pool:
            task = pool.submit("return ngx.re.find(('a'):rep(120), 'a*a*a*a*[bc]')")
            turns = 0
            while not task.done():
                turns += 1
                await asyncio.sleep(0.001)
            assert turns > 3
            assert await task is None


HOSTILE = [
    "('a'):rep(3000), 'a*a*a*a*[bc]'",
    "('a'):rep(40), '(?:a|aa|a)*[bc]', 'j'",
    "('a'):rep(2000), '(a*)(a*)\\\\1\\\\2[bc]'",
    "('a'):rep(1000000), '[^x]*+(?=[xy])'",
    "('ab'):rep(20000), '(a|b|ab|ba)*[xy]', 'd'",
    "('ab'):rep(500000), '.*[xy]', 'd'",
    "('a'):rep(3000), '(*COMMIT)a*a*a*a*[bc]|[xy]'",
    "('a'):rep(3000), 'a*a*a*a*[bc]|\\\\Gx'",
    "('a'):rep(1000), '(a(?1)?(?1)?)[bc]'",
]


class TestLimits:
    @pytest.mark.parametrize("arguments", HOSTILE)
    async def test_a_match_that_would_take_for_ever(
        self, lua: str, arguments: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with ThreadPool(
            "test", threads=1, lua=lua, sandbox=True, time_limit=0.2, memory_limit=2**25
        ) as pool:
            try:
                result = await pool.submit(f"return ngx.re.find({arguments})")
                assert result == (None, None, TOO_MANY_STEPS)
            except LuaTimeLimitError:
                pass
            assert await pool.submit("return ngx.re.find('ab', 'b')") == (2, 2)
        assert not caplog.records  # as there would be if a thread or a state had been lost

    async def test_results_are_the_same(self, lua: str) -> None:
        """Where a text is searched in parts, nobody can tell."""
        async with ThreadPool("test", threads=1, lua=lua, time_limit=10) as pool:
            code = """
            local text = ("ab "):rep(70000) .. "xab"
            local near = ("a"):rep(3000) .. "b"
            return { ngx.re.find(text, "x(a)(b)$", "", nil, 2) },
              { ngx.re.find(text, "(?<=x)ab") }, { ngx.re.find(text, "b", "a", { pos = 2 }) },
              { ngx.re.find(text, "y") }, { ngx.re.find(text, "y", "a") },
              select(2, ngx.re.gsub(text, "(?<= )ab", "", "jo")),
              { ngx.re.find(near, "a*?a*?a*?b$") }, { ngx.re.find(("é"):rep(70000), "x|$", "u") },
              { ngx.re.find(("ab"):rep(50000), "b*c|b$", "d") }
            """
            assert await pool.submit(code) == (
                [210003, 210003],
                [210002, 210003],
                [2, 2],
                {},
                {},
                69999,
                [1, 3001],
                [140001, 140000],
                [100000, 100000],
            )

    async def test_many_matches_are_interrupted(self, lua: str) -> None:
        async with ThreadPool("test", threads=1, lua=lua, time_limit=0.1) as pool:
            for code in (
                "for i = 1, 1e9 do ngx.re.find('a', 'a' .. i) end",
                "ngx.re.gsub(('a'):rep(3e6), 'a*?', function() return 'b' end)",
            ):
                with pytest.raises(LuaTimeLimitError):
                    await pool.submit(code)


def patterns() -> st.SearchStrategy[str]:
    """Patterns that mean the same to PCRE2 and to Python."""
    atoms = st.sampled_from(["a", "b", "c", ".", "[ab]", "[^a]", r"\w", r"\s", r"\d", "-"])
    marks = st.sampled_from(["^", "$", r"\b", "(?=a)", "(?!b)", "(?<=b)"])
    counts = st.sampled_from(["", "", "*", "+", "?", "{1,2}", "*?", "+?", "??", "{2}"])

    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        group = st.tuples(st.sampled_from(["(", "(?:"]), inner).map(
            lambda pair: "".join(pair) + ")"
        )
        item = st.one_of(st.tuples(group, st.sampled_from(["", "?"])), st.tuples(atoms, counts))
        sequence = st.lists(st.one_of(item.map("".join), marks), min_size=1, max_size=4)
        return st.lists(sequence.map("".join), min_size=1, max_size=3).map("|".join)

    return st.recursive(atoms, larger, max_leaves=8)


def matches_of(pattern: re.Pattern[str], subject: str) -> Iterator[re.Match[str]]:
    """Find what OpenResty finds: an empty match is followed by one from the next character on."""
    at = 0
    while at <= len(subject):
        match = pattern.search(subject, at)
        if match is None:
            break
        yield match
        at = match.end() + (match.end() == match.start())


class TestAgainstPython:
    async def test_matches(self, pool: ThreadPool) -> None:
        subjects = st.text("abc -1", max_size=12)
        drawn = await asyncio.to_thread(examples, st.tuples(patterns(), subjects), 300)
        code = """
        local results = {}
        for i, case in ipairs(...) do
          local pattern, subject = case[1], case[2]
          local found = list()
          for m in ngx.re.gmatch(subject, pattern) do
            local captures = list()
            for j = 0, #m do captures[j + 1] = m[j] end
            found[#found + 1] = captures
          end
          local from, to = ngx.re.find(subject, pattern, "jo")
          local text, count = ngx.re.gsub(subject, pattern, "<$0>", "o")
          results[i] = { found, from or false, to or false, text, count }
        end
        return results
        """
        results = await pool.submit(code, [list(case) for case in drawn])
        for (source, subject), result in zip(drawn, results, strict=True):
            pattern = re.compile(source, re.ASCII)
            found = list(matches_of(pattern, subject))
            pieces: list[Any] = []
            copied = 0
            for match in found:
                pieces += [subject[copied : match.start()], f"<{match[0]}>"]
                copied = match.end()
            first = found[0] if found else None
            assert result == [
                [[match[0], *match.groups(default=False)] for match in found],
                first is not None and first.start() + 1,
                first is not None and first.end(),
                "".join([*pieces, subject[copied:]]),
                len(found),
            ], (source, subject)
