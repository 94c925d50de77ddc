"""Every example in the README and in the guides runs, and prints what it says it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

import threadpool_lua
from threadpool_lua import LuaError, ThreadPool, ThreadPools, testing

from .helpers import ROOT
from .test_c_modules import need as need_module
from .test_ngx_clients import need

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


class Program(NamedTuple):
    """A block that is a whole program, and the files that the page has shown before."""

    place: str
    code: str
    files: dict[str, str]


def programs() -> list[Program]:
    """Return the programs of all pages. A block that begins with its name is a file."""
    found = []
    for page in PAGES:
        text, files = page.read_text(), {}
        for match in re.finditer(r"^```(?:python|lua)\n(.*?)^```", text, re.M | re.S):
            name = re.match(r"(?:#|--) (\w+\.(?:py|lua))\n", match[1])
            if name:
                files[name[1]] = match[1]
            elif "asyncio.run(" in match[1]:
                line = text[: match.start()].count("\n") + 1
                found.append(Program(f"{page.name}:{line}", match[1], dict(files)))
    return found


def promised_output(program: str) -> list[str]:
    """Return what the comments behind print() and at the end say."""
    promised = []
    for line in program.splitlines():
        comment = re.search(r"print\(.*\)\s+# (.*)$", line)
        if comment:
            promised.append(comment[1])
        elif line.startswith("# "):
            promised.append(line[2:])
    return promised


def need_what_it_uses(code: str) -> None:
    """Skip a test, or fail it in CI, if a server or driver of the program is missing."""
    if "6379" in code or 'require("redis")' in code:
        need("Redis", "127.0.0.1", 6379)
    if "require('bank')" in code:
        need_module("luasql.sqlite3", "lua-sql-sqlite3")


@pytest.mark.parametrize("program", programs(), ids=lambda program: program.place)
def test_the_example_prints_what_it_says(program: Program, tmp_path: Path) -> None:
    need_what_it_uses(program.code)
    for name, text in program.files.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program.code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    printed = done.stdout.splitlines()
    assert printed, "an example shows something"
    for promise in promised_output(program.code):
        # A comment may be shorter than the line that it is about.
        assert any(line.startswith(promise) for line in printed), (promise, printed)


def test_there_are_examples() -> None:
    assert len(programs()) >= 8


def test_there_are_as_many_hostile_scripts_as_the_page_about_limits_says() -> None:
    page = (ROOT / "docs" / "limits.md").read_text()
    told = dict(re.findall(r"^\| `(\w+)_\*` \| (\d+) \|", page, re.M))
    scripts = (ROOT / "tests" / "hostile").glob("[!_]*.lua")
    there_are = Counter(script.name.partition("_")[0] for script in scripts)
    assert told.keys() == there_are.keys()
    for kind, count in told.items():
        assert there_are[kind] >= int(count), kind


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_reference_has_every_public_name_once() -> None:
    page = (ROOT / "docs" / "reference.md").read_text()
    told = re.findall(r"^\.\. auto\w+:: (?:threadpool_lua\.testing\.)?(\w+)$", page, re.M)
    assert sorted(told) == sorted([*threadpool_lua.__all__, *testing.__all__])


def names_of_ngx() -> list[tuple[str, str]]:
    """Return the names in the tables of the page about ngx, and where they run."""
    page = (ROOT / "docs" / "ngx.md").read_text()
    rows = re.findall(r"^\| (`.*?) \| (thread|loop|no) \|", page, re.M)
    return [(name, where) for names, where in rows for name in re.findall("`(.+?)`", names)]


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_the_names_of_ngx_are_there_or_not_as_the_page_says() -> None:
    shorter = {
        "ngx.shared.DICT": "ngx.shared.dogs",
        "tcpsock:": "ngx.socket.tcp().",
        "udpsock:": "ngx.socket.udp().",
    }
    there_is = """
        local name = ...
        local ok, value = pcall(load("return " .. name))
        if not ok or value == nil then require(name) end
    """
    use = """
        local value = load("return " .. ...)()
        if type(value) == "table" then return value.field end
        value()
    """
    async with ThreadPools(ThreadPool("docs", threads=1), shared={"dogs": "1m"}) as pools:
        for name, where in names_of_ngx():
            expression = name
            for long, short in shorter.items():
                expression = expression.replace(long, short)
            if where == "no":
                with pytest.raises(LuaError, match=" is not available in a thread pool: "):
                    await pools["docs"].submit(use, expression)
            else:
                await pools["docs"].submit(there_is, expression)


def test_there_are_names_of_ngx() -> None:
    assert len(names_of_ngx()) > 150
