"""Pools from nginx's configuration: what is read, and what is refused, in nginx's words."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from threadpool_lua import InitError, LuaError, NginxConfigError, QueueFullError, ThreadPools
from threadpool_lua._nginx_conf import read_nginx_conf

from .conftest import required

# What nginx itself needs to read what follows.
HEAD = """\
load_module modules/ndk_http_module.so;
load_module modules/ngx_http_lua_module.so;
error_log stderr emerg;
pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
"""


@dataclass
class Wrong:
    """A configuration with an error, `message`, in the line where the text has ``<-``."""

    text: str
    message: str
    at_the_end: bool = False
    """Whether the error is in the last line instead."""

    @property
    def line(self) -> int:
        if self.at_the_end:
            return self.text.count("\n") + 1
        return self.text[: self.text.index("<-")].count("\n") + 1


ERRORS = {
    "no parameters": Wrong(
        "thread_pool disk; # <-", 'invalid number of arguments in "thread_pool" directive'
    ),
    "too many parameters": Wrong(
        "thread_pool disk threads=1 max_queue=1 x=1; # <-",
        'invalid number of arguments in "thread_pool" directive',
    ),
    "no threads": Wrong(
        "thread_pool disk max_queue=1; # <-", '"thread_pool" must have "threads" parameter'
    ),
    **{
        f"threads={value}": Wrong(
            f"thread_pool disk threads={value}; # <-", f'invalid threads value "threads={value}"'
        )
        for value in ("0", "", "-1", "+1", "1_0", "four", "9999999999999999999999")
    },
    **{
        f"max_queue={value}": Wrong(
            f"thread_pool disk threads=1 max_queue={value}; # <-",
            f'invalid max_queue value "max_queue={value}"',
        )
        for value in ("", "-1", "x")
    },
    "the line is that where a directive ends": Wrong(
        "thread_pool\n  disk\n  threads=0\n; # <-\n", 'invalid threads value "threads=0"'
    ),
    "the same name twice": Wrong(
        "thread_pool disk threads=1;\nthread_pool disk threads=2; # <-",
        'duplicate thread pool "disk"',
    ),
    "default twice": Wrong(
        "thread_pool default threads=1;\nthread_pool default threads=0; # <-",
        'duplicate thread pool "default"',
    ),
    "a block": Wrong(
        "thread_pool disk threads=1 { # <-\n}",
        'directive "thread_pool" is not terminated by ";"',
    ),
    "in http": Wrong(
        "http {\n thread_pool disk threads=1; # <-\n}",
        '"thread_pool" directive is not allowed here',
    ),
    "in a location": Wrong(
        "http { server { location / {\n thread_pool disk threads=1; # <-\n} } }",
        '"thread_pool" directive is not allowed here',
    ),
    "a dictionary outside of http": Wrong(
        "lua_shared_dict dogs 1m; # <-", '"lua_shared_dict" directive is not allowed here'
    ),
    "a dictionary in a server": Wrong(
        "http { server { lua_shared_dict dogs 1m; } } # <-",
        '"lua_shared_dict" directive is not allowed here',
    ),
    **{
        f"a dictionary of {size}": Wrong(
            f"http {{ lua_shared_dict dogs {size}; }} # <-",
            f'invalid lua shared dict size "{size}"',
        )
        for size in ("1", "8191", "7k", "1g", "big", "-1m")
    },
    "a dictionary without a name": Wrong(
        'http { lua_shared_dict "" 1m; } # <-', 'invalid lua shared dict name ""'
    ),
    "a dictionary without a size": Wrong(
        "http { lua_shared_dict dogs; } # <-",
        'invalid number of arguments in "lua_shared_dict" directive',
    ),
    "a dictionary twice": Wrong(
        "http { lua_shared_dict dogs 1m;\nlua_shared_dict dogs 1024k; } # <-",
        'lua_shared_dict "dogs" is already defined as "dogs"',
    ),
    "a dictionary twice, with other sizes": Wrong(
        "http { lua_shared_dict dogs 1m;\nlua_shared_dict dogs 2m; } # <-",
        'the size 2097152 of shared memory zone "dogs" conflicts with already declared size '
        "1048576",
    ),
    **{
        f"{path} twice": Wrong(
            f'http {{ {path} "/a/?;;";\n{path} "/b/?;;"; }} # <-',
            f'"{path}" directive is duplicate',
        )
        for path in ("lua_package_path", "lua_package_cpath")
    },
    **{
        f"a pool of {size} states": Wrong(
            f"http {{ lua_worker_thread_vm_pool_size {size}; }} # <-",
            '"lua_worker_thread_vm_pool_size" directive invalid number',
        )
        for size in ("x", "-1", '""')
    },
    "two pools of states": Wrong(
        "http { lua_worker_thread_vm_pool_size 1; lua_worker_thread_vm_pool_size 2; } # <-",
        '"lua_worker_thread_vm_pool_size" directive is duplicate',
    ),
    "init twice": Wrong(
        "http { init_by_lua 'x = 1';\ninit_by_lua_file x.lua; } # <-",
        '"init_by_lua_file" directive is duplicate',
    ),
    "init_worker twice": Wrong(
        "http { init_worker_by_lua_block { x = 1 }\ninit_worker_by_lua 'x = 1'; } # <-",
        '"init_worker_by_lua" directive is duplicate',
    ),
    "no code": Wrong(
        "http { init_by_lua ''; } # <-", "invalid location config: no runnable Lua code"
    ),
    "no code in a block": Wrong(
        "http { init_by_lua_block {} } # <-", "invalid location config: no runnable Lua code"
    ),
    "code in a server": Wrong(
        "http { server { init_by_lua_block { x = 1 } } } # <-",
        '"init_by_lua_block" directive is not allowed here',
    ),
    "a Lua block that is none": Wrong(
        "http { init_by_lua_block; } # <-", 'directive "init_by_lua_block" has no opening "{"'
    ),
    "a Lua block with an argument": Wrong(
        "http { init_by_lua_block x { y = 1 } } # <-",
        'invalid number of arguments in "init_by_lua_block" directive',
    ),
    "a Lua block without an end": Wrong(
        "http {\n init_by_lua_block {\n x = {} -- <-\n y = 1\n",
        "unexpected end of file, expecting terminating characters for lua code block",
    ),
    "a long bracket without an end": Wrong(
        "http {\n init_by_lua_block {\n x = [==[ <- ]]\n }\n}\n",
        'Lua code block missing the closing long bracket "]==]", the inlined Lua code may be too '
        "long",
    ),
    "a long comment without an end": Wrong(
        "http {\n init_by_lua_block {\n --[[ <-\n }\n}\n",
        'Lua code block missing the closing long bracket "]]", the inlined Lua code may be too '
        "long",
    ),
    "two blocks http": Wrong("http {\n}\nhttp {  # <-\n}", '"http" directive is duplicate'),
    "http with an argument": Wrong(
        "http x { # <-\n}", 'invalid number of arguments in "http" directive'
    ),
    "http without a block": Wrong("http; # <-", 'directive "http" has no opening "{"'),
    "a file that is not there": Wrong(
        "include /not/there.conf; # <-",
        'open() "/not/there.conf" failed (2: No such file or directory)',
    ),
    "include of nothing": Wrong(
        "include; # <-", 'invalid number of arguments in "include" directive'
    ),
    "no end of a directive": Wrong(
        "thread_pool disk threads=1\n\n",
        'unexpected end of file, expecting ";" or "}"',
        at_the_end=True,
    ),
    "no end of a block": Wrong(
        "http {\n\n", 'unexpected end of file, expecting "}"', at_the_end=True
    ),
    "no end of a directive in a block": Wrong(
        "http {\n lua_package_path\n",
        'unexpected end of file, expecting ";" or "}"',
        at_the_end=True,
    ),
    "no end of a quoted word": Wrong(
        'thread_pool "disk threads=1;\n',
        'unexpected end of file, expecting ";" or "}"',
        at_the_end=True,
    ),
    "one brace too many": Wrong("http { } } # <-", 'unexpected "}"'),
    "a brace instead of a semicolon": Wrong("http { lua_package_path x } # <-", 'unexpected "}"'),
    "a semicolon too many": Wrong("thread_pool disk threads=1;; # <-", 'unexpected ";"'),
    "a block of nothing": Wrong("{ } # <-", 'unexpected "{"'),
}

RIGHT = {
    "nothing": "",
    "a pool": "thread_pool disk threads=1;",
    "all parameters": "thread_pool disk threads=1 max_queue=0;",
    "the last one counts": "thread_pool disk threads=1 threads=2;",
    "another parameter": "thread_pool disk threads=1 frob=2;",
    "quotes": "'thread_pool' \"a \\\"pool\\\"\" 'threads=1';",
    "a comment": "# thread_pool disk threads=0;\nthread_pool disk # ; }\nthreads=1;",
    "what is no directive": "http { types { thread_pool a; } map $uri $x { events 1; http 2; } }",
    "dictionaries": "http { lua_shared_dict dogs 1m; lua_shared_dict cats 16K; }",
    "an empty path": "http { lua_package_path ''; lua_package_path '/x/?.lua'; }",
    "blocks of Lua": """
http {
    init_by_lua_block { x = "}" -- }
        y = [[ }} ' ]] .. [=[ ]] } ]=] --[==[ } ]] " ]==] z = {{}, "\\"}"} t = z[x[1]] }
    init_worker_by_lua_block
    {
        return { '}' }
    }
    server {
        set_by_lua_block $x { return "}" }
        location / { content_by_lua_block { ngx.say([[ it's { ]]) } }
    }
}
""",
    "no files": "include /not/there/*.conf;",
}


def in_a_file(folder: Path, text: str) -> Path:
    path = folder / "nginx.conf"
    path.write_text(HEAD.format(folder=folder) + text + "\n")
    return path


HEAD_LINES = HEAD.count("\n")

params = pytest.mark.parametrize("wrong", ERRORS.values(), ids=ERRORS)


@params
def test_an_error_names_file_and_line(tmp_path: Path, wrong: Wrong) -> None:
    path = in_a_file(tmp_path, wrong.text)
    with pytest.raises(NginxConfigError) as caught:
        ThreadPools.from_nginx(path)
    error = caught.value
    line = HEAD_LINES + wrong.line + wrong.at_the_end
    assert str(error) == f"{wrong.message} in {path}:{line}"
    assert (error.message, error.file, error.line) == (wrong.message, str(path), line)
    assert isinstance(error, ValueError)


@params
def test_a_text_is_no_file(wrong: Wrong) -> None:
    with pytest.raises(NginxConfigError) as caught:
        ThreadPools.from_nginx(f"# {wrong.line}\n{wrong.text}")
    assert str(caught.value) == f"{wrong.message} in <text>:{wrong.line + 1}"


@cache
def nginx() -> str:
    """Return the path of an nginx with the Lua module."""
    path = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        required("nginx")
    assert path is not None
    return path


def said_by_nginx(conf: Path) -> str | None:
    """Return what nginx finds wrong with a configuration."""
    ran = subprocess.run(
        [nginx(), "-t", "-c", conf], capture_output=True, text=True, timeout=60, check=False
    )
    assert "dlopen" not in ran.stderr, ran.stderr
    if ran.returncode == 0:
        return None
    found = re.search(r"\[(?:emerg|error)\] (?:\d+#\d+: )?(.*)", ran.stderr)
    assert found, ran.stderr
    return found[1]


@params
def test_nginx_says_the_same(tmp_path: Path, wrong: Wrong) -> None:
    path = in_a_file(tmp_path, wrong.text)
    line = HEAD_LINES + wrong.line + wrong.at_the_end
    assert said_by_nginx(path) == f"{wrong.message} in {path}:{line}"


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT)
def test_what_nginx_takes_is_taken(tmp_path: Path, text: str) -> None:
    path = in_a_file(tmp_path, text)
    assert said_by_nginx(path) is None
    ThreadPools.from_nginx(path)


def test_nginx_does_not_say_which_block_is_duplicate(tmp_path: Path) -> None:
    path = in_a_file(tmp_path, "http { init_by_lua_block { x() } init_by_lua_block { x() } }")
    place = f" in {path}:{HEAD_LINES + 1}"
    assert said_by_nginx(path) == "is duplicate" + place
    with pytest.raises(NginxConfigError) as caught:
        ThreadPools.from_nginx(path)
    assert str(caught.value) == '"init_by_lua_block" directive is duplicate' + place


def test_what_nginx_would_take_and_cannot_work_is_refused() -> None:
    with pytest.raises(NginxConfigError, match='^invalid thread pool name "" in <text>:1$'):
        ThreadPools.from_nginx('thread_pool "" threads=1;')
    with pytest.raises(NginxConfigError, match="directive invalid number in <text>:1$"):
        ThreadPools.from_nginx("http { lua_worker_thread_vm_pool_size 0; }")


async def test_pools_are_as_declared() -> None:
    pools = ThreadPools.from_nginx(
        "thread_pool disk threads=3 max_queue=0;\nthread_pool default threads=2;"
    )
    assert list(pools) == ["disk", "default"]
    assert {name: pool.statistics().threads for name, pool in pools.items()} == {
        "disk": 3,
        "default": 2,
    }
    async with pools:
        futures = [pools["disk"].submit("return 1") for _ in range(3)]
        with pytest.raises(QueueFullError) as caught:
            pools["disk"].submit("return 1")
        assert caught.value.max_queue == 0
        assert [await future for future in futures] == [1, 1, 1]


def test_a_pool_default_is_there_without_being_declared() -> None:
    pools = ThreadPools.from_nginx("thread_pool disk threads=1;")
    assert list(pools) == ["disk", "default"]
    assert pools["default"].statistics().threads == 32


def test_a_str_is_a_path_or_a_text(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text("thread_pool disk threads=1;")
    for source in (path, str(path), path.read_text(), "thread_pool\ndisk threads=1\n;"):
        assert "disk" in ThreadPools.from_nginx(source)
    assert list(ThreadPools.from_nginx("")) == ["default"]
    with pytest.raises(FileNotFoundError):
        ThreadPools.from_nginx(tmp_path / "thread_pool disk threads=1;")
    with pytest.raises(FileNotFoundError):
        ThreadPools.from_nginx("nginx.conf.that.is.not.there")
    with pytest.raises(TypeError):
        ThreadPools.from_nginx(1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("worker_processes 4;\n", 'unknown directive "worker_processes" in <text>:1'),
        ("thread_pol disk threads=1;\n", 'unknown directive "thread_pol" in <text>:1'),
        ("http {\n server { }\n}", 'unknown directive "server" in <text>:2'),
        ("thread_pool disk threads=1 frob=2;", 'invalid parameter "frob=2" in <text>:1'),
    ],
)
def test_what_is_unknown_is_passed_over_or_refused(text: str, message: str) -> None:
    ThreadPools.from_nginx(text)
    with pytest.raises(NginxConfigError) as caught:
        ThreadPools.from_nginx(text, unknown="error")
    assert str(caught.value) == message


def test_what_is_known_is_not_refused() -> None:
    text = "events { }\nthread_pool disk threads=1;\nhttp { lua_shared_dict dogs 1m; }"
    assert "disk" in ThreadPools.from_nginx(text, unknown="error")
    with pytest.raises(ValueError, match="unknown must be 'ignore' or 'error', not 'warn'"):
        ThreadPools.from_nginx(text, unknown="warn")  # type: ignore[arg-type]


async def test_lua_paths_are_of_all_pools(tmp_path: Path, lua: str) -> None:
    (tmp_path / "lua").mkdir()
    (tmp_path / "lua" / "greeter.lua").write_text("return { greet = function() return 'hi' end }")
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        "thread_pool disk threads=1;\nthread_pool cpu threads=1;\n"
        'http { lua_package_path "$prefix/lua/?.lua;;"; }'
    )
    async with ThreadPools.from_nginx(conf, lua=lua) as pools:
        for name in "disk", "cpu":
            assert await pools[name].call("greeter", "greet") == "hi"


@pytest.mark.parametrize("variable", ["$prefix", "${prefix}"])
async def test_the_prefix_can_be_given(tmp_path: Path, variable: str) -> None:
    text = f'thread_pool a threads=1; http {{ lua_package_path "{variable}?.lua"; }}'
    async with ThreadPools.from_nginx(text, prefix=tmp_path) as pools:
        source = "return package.path, ngx.config.prefix()"
        assert await pools["a"].submit(source) == (f"{tmp_path}/?.lua", f"{tmp_path}/")
    async with ThreadPools.from_nginx(text) as pools:
        assert await pools["a"].submit(source) == (f"{Path.cwd()}/?.lua", f"{Path.cwd()}/")


async def test_c_paths_are_of_all_pools() -> None:
    text = 'thread_pool a threads=1; http { lua_package_cpath "/usr/lib/x/?.so;;"; }'
    async with ThreadPools.from_nginx(text) as pools:
        path = await pools["a"].submit("return package.cpath")
        assert path.startswith("/usr/lib/x/?.so;")
        assert await pools["default"].submit("return package.cpath") == path


async def test_shared_dictionaries_are_there(lua: str) -> None:
    text = "thread_pool a threads=1; http { lua_shared_dict dogs 1m; lua_shared_dict cats 16k; }"
    async with ThreadPools.from_nginx(text, lua=lua) as pools:
        assert list(pools.shared) == ["dogs", "cats"]
        await pools["a"].submit("ngx.shared.dogs:set('Tom', 56)")
        assert pools.shared["dogs"].get("Tom") == 56
        assert await pools["a"].submit("return ngx.shared.cats:capacity()") == 16384


async def test_init_runs_before_init_worker_in_each_state(tmp_path: Path, lua: str) -> None:
    (tmp_path / "later.lua").write_text("ran = ran .. ' init_worker'")
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        "thread_pool a threads=1;\nhttp {\n init_worker_by_lua_file later.lua;\n"
        " init_by_lua_block {\n  ran = '{init}'\n }\n}"
    )
    async with ThreadPools.from_nginx(conf, lua=lua) as pools:
        for name in pools:
            assert await pools[name].submit("return ran") == "{init} init_worker"


@pytest.mark.parametrize(
    ("directive", "line"),
    [
        ("init_by_lua_block {\n\n  error('no') \n }", 4),
        ("init_by_lua_block\n\n{ error('no') }", 4),
        ("init_by_lua '\n  error(\"no\")';", 3),
        ("init_worker_by_lua_block {\n x = [[\n\n]] error('no') }", 5),
    ],
)
async def test_errors_of_init_name_the_line_of_the_configuration(
    tmp_path: Path, lua: str, directive: str, line: int
) -> None:
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"thread_pool a threads=1;\nhttp {{ {directive} }}")
    async with ThreadPools.from_nginx(conf, lua=lua) as pools:
        with pytest.raises(InitError) as caught:
            await pools["a"].submit("return 1")
    error = caught.value.__cause__
    assert isinstance(error, LuaError)
    assert error.message.endswith(f"nginx.conf:{line}: no")
    assert error.line == line


async def test_errors_in_a_text_name_its_line(lua: str) -> None:
    text = "thread_pool a threads=1;\nhttp {\n init_by_lua_block {\n  x = = 1\n }\n}"
    async with ThreadPools.from_nginx(text, lua=lua) as pools:
        with pytest.raises(InitError, match='"a": init failed: <text>:4: '):
            await pools["a"].submit("return 1")


def test_a_lua_file_has_to_be_there(tmp_path: Path) -> None:
    text = "http {\n init_by_lua_file x.lua;\n}"
    with pytest.raises(NginxConfigError, match="^init_by_lua_file error: .*x.lua.* in <text>:2$"):
        ThreadPools.from_nginx(text, prefix=tmp_path)


def test_files_are_included(tmp_path: Path) -> None:
    folder = tmp_path / "pools.d"
    folder.mkdir()
    for name in "b", "a":
        (folder / f"{name}.conf").write_text(f"thread_pool {name} threads=1;")
    (tmp_path / "http.conf").write_text("lua_shared_dict dogs 1m;\n")
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        f"include pools.d/*.conf; include none/*.conf; http {{ include {tmp_path}/http.conf; }}"
    )
    pools = ThreadPools.from_nginx(conf)
    assert list(pools) == ["a", "b", "default"]
    assert list(pools.shared) == ["dogs"]


def test_errors_in_an_included_file_name_it(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("\nthread_pool a threads=0;")
    conf = tmp_path / "nginx.conf"
    conf.write_text("include a.conf;")
    with pytest.raises(NginxConfigError) as caught:
        ThreadPools.from_nginx(conf)
    assert caught.value.file == str(tmp_path / "a.conf")
    assert caught.value.line == 2
    conf.write_text("http {\n include a.conf; }")
    with pytest.raises(NginxConfigError, match='"thread_pool" directive is not allowed here'):
        ThreadPools.from_nginx(conf)
    (tmp_path / "a.conf").write_text("http {\n")
    conf.write_text("include a.conf;\n}\n")
    with pytest.raises(NginxConfigError, match=r"^unexpected end of file.* in .*a\.conf:2$"):
        ThreadPools.from_nginx(conf)


def test_a_file_cannot_include_itself(tmp_path: Path) -> None:
    conf = tmp_path / "nginx.conf"
    conf.write_text("\ninclude a.conf;")
    (tmp_path / "a.conf").write_text("include nginx.conf;")
    with pytest.raises(NginxConfigError, match=r'nginx.conf" includes itself in .*/a.conf:1$'):
        ThreadPools.from_nginx(conf)


async def test_any_utf8_is_read(tmp_path: Path) -> None:
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        "thread_pool größe threads=1; http { init_by_lua_block { x = 'naïve' } }", "utf-8"
    )
    async with ThreadPools.from_nginx(conf) as pools:
        assert await pools["größe"].submit("return x") == "naïve"
    conf.write_bytes(b"# a\n# na\xefve\n")
    with pytest.raises(NginxConfigError, match="^invalid UTF-8 in .*nginx.conf:2$"):
        ThreadPools.from_nginx(conf)


async def test_options_are_for_all_pools_and_before_the_configuration(lua: str) -> None:
    text = "thread_pool a threads=1; http { init_by_lua_block { x = 'conf' } }"
    async with ThreadPools.from_nginx(text, lua=lua, isolation="none", init="x = 1") as pools:
        for pool in pools.values():
            await pool.submit("y = x")
            assert await pool.submit("return y") == 1
    with pytest.raises(TypeError):
        ThreadPools.from_nginx(text, threads=2)
    with pytest.raises(ValueError, match="lua must be one of"):
        ThreadPools.from_nginx(text, lua="lua50")


def test_the_number_of_states_bounds_that_of_threads() -> None:
    text = (
        "thread_pool many threads=100; thread_pool few threads=2;"
        "http { lua_worker_thread_vm_pool_size 10; }"
    )
    pools = ThreadPools.from_nginx(text)
    counts = {name: pool.statistics().threads for name, pool in pools.items()}
    assert counts == {"many": 10, "few": 2, "default": 10}


@st.composite
def long_brackets(draw: st.DrawFn) -> str:
    equals = "=" * draw(st.integers(0, 2))
    closing = f"]{equals}]"
    inside = draw(st.text("[]={}'\"-\\ \nx", max_size=12)) + closing
    return f"[{equals}[{inside[: inside.index(closing)]}{closing}"


LUA = st.recursive(
    st.one_of(
        st.sampled_from(["x = 1", "t[i[1]]", "a - b", "[", "]", "-", "=", "\n", "\\"]),
        st.sampled_from(["'\\'}'", '"\\"{"', "'\\\\' {} '}'", '"[["', "'--'"]),
        st.text("{}[]='\"\\- x", max_size=8).map(lambda text: f"-- {text}\n"),
        long_brackets(),
        long_brackets().map(lambda comment: f"--{comment}"),
    ),
    lambda parts: st.lists(parts, max_size=6).map(lambda inner: f"{{ {' '.join(inner)} }}"),
    max_leaves=12,
)


@given(st.lists(LUA, min_size=1).map(" ".join))
def test_any_lua_code_is_read_as_it_is(code: str) -> None:
    text = f"http {{\n init_by_lua_block {{{code} }}\n}}\nthread_pool last threads=1;"
    conf = read_nginx_conf(text, None, "error")
    assert conf.code["init"].source.decode() == f"\n{code} "
    assert list(conf.pools) == ["last"]
