"""Every example in the README and in the guides runs, and prints what it says it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from .helpers import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def programs() -> list[tuple[str, str]]:
    """Return the Python blocks that are whole programs, with their place."""
    found = []
    for page in PAGES:
        for match in re.finditer(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S):
            if "asyncio.run(" in match[1]:
                line = page.read_text()[: match.start()].count("\n") + 1
                found.append((f"{page.name}:{line}", match[1]))
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


@pytest.mark.parametrize(
    "program", [pytest.param(program, id=place) for place, program in programs()]
)
def test_the_example_prints_what_it_says(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
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
    for promise in promised_output(program):
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
