"""
Reads what nginx's configuration says of thread pools and of the Lua code that runs in them.

crossplane takes the text apart into words. What they mean is looked at here, directive by directive
as they come, as nginx does it: so the first error is the one that nginx would report, at the line
where it would, the one in which the directive ends.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final, Literal, NamedTuple, TypeAlias

import crossplane
from crossplane.errors import NgxParserSyntaxError
from crossplane.lexer import register_external_lexer

from ._chunk import Chunk
from ._exceptions import NginxConfigError
from ._ngx.shared import SharedDict, parse_size

Unknown: TypeAlias = Literal["ignore", "error"]

_TEXT: Final = "<text>"  # what messages call a configuration that is not in a file
_ESCAPED: Final = re.compile(r"\\([\\\"'trn])")
_ESCAPES: Final = {"t": "\t", "r": "\r", "n": "\n"}
_LONG_BRACKET: Final = re.compile(r"\[=*\[")

_PHASES: Final = ("init", "init_worker")  # those whose code is read

_LUA_BLOCKS: Final = tuple(
    f"{phase}_by_lua_block"
    for phase in (
        *("init", "init_worker", "exit_worker", "set", "server_rewrite", "rewrite", "access"),
        *("precontent", "content", "header_filter", "body_filter", "log", "balancer", "preread"),
        *("ssl_client_hello", "ssl_certificate", "ssl_session_fetch", "ssl_session_store"),
        *("proxy_ssl_certificate", "proxy_ssl_verify"),
    )
)

# The blocks that have directives in them, besides those that are read. What is in other blocks may
# be anything, as in `types` and `map`, or is for a Lua of its own, as in `stream`.
_PLAIN_BLOCKS: Final = ("server", "location", "if", "limit_except", "upstream")
_OPAQUE: Final = "*"  # the context of what is in such other blocks


@dataclass
class NginxConf:
    """
    What is read.

    Attributes:
        prefix: the folder that the names of Lua files are relative to.
        pools: the keyword arguments of each declared `ThreadPool`, by name.
        shared: the sizes of the shared dictionaries in bytes, by name.
        package_path: that of ``lua_package_path``.
        package_cpath: that of ``lua_package_cpath``.
        vm_pool_size: that of ``lua_worker_thread_vm_pool_size``.
        code: that of ``init_by_lua*`` and ``init_worker_by_lua*``, by phase.
    """

    prefix: Path
    pools: dict[str, dict[str, int]] = field(default_factory=dict)
    shared: dict[str, int] = field(default_factory=dict)
    package_path: str | None = None
    package_cpath: str | None = None
    vm_pool_size: int | None = None
    code: dict[str, Chunk] = field(default_factory=dict)

    @property
    def init(self) -> tuple[Chunk, ...]:
        """What is run in each state, in this order."""
        return tuple(self.code[phase] for phase in _PHASES if phase in self.code)


def read_nginx_conf(
    source: str | os.PathLike[str], prefix: str | os.PathLike[str] | None, unknown: Unknown
) -> NginxConf:
    """
    Read a configuration.

    Args:
        source: a text, or the path of a file: a ``str`` is a text if it is empty or has a ``;``, a
            ``{`` or more lines than one.
        prefix: nginx's ``-p``. None means the folder of the file, or the current one.
        unknown: whether directives that are not read are passed over.

    Raises:
        NginxConfigError: there is an error in it.
        OSError: the file cannot be read.
    """
    if isinstance(source, str) and (not source or re.search(r"[;{\n]", source)):
        reader = _Reader(Path.cwd(), prefix, unknown)
        reader.read(source, _TEXT, "main")
    else:
        path = os.fspath(source)
        reader = _Reader(Path(path).parent.absolute(), prefix, unknown)
        reader.read(_read_text(path), path, "main")
    return reader.conf


class _Word(NamedTuple):
    text: str
    line: int
    is_quoted: bool
    """Whether it was in quotes, or is the code of a Lua block."""


class _Directive(NamedTuple):
    """A directive as it stands in a file."""

    name: str
    args: list[str]
    context: str
    file: str
    line: int
    """The one in which it ends."""

    first_line: int
    """The one in which its last argument begins."""

    def error(self, message: str) -> NginxConfigError:
        return NginxConfigError(message, self.file, self.line)


class _Rule(NamedTuple):
    """What nginx checks before it looks at a directive's arguments."""

    context: str | None
    """The block that it has to be in; None for any."""

    counts: tuple[int, ...]
    """How many arguments it may have."""

    ends_with: Literal[";", "{", "code"]
    apply: Callable[[_Reader, _Directive], None]


class _Reader:
    """Reads a file and those that it includes."""

    def __init__(
        self, folder: Path, prefix: str | os.PathLike[str] | None, unknown: Unknown
    ) -> None:
        self.conf = NginxConf(folder if prefix is None else Path(prefix).absolute())
        self._folder = folder  # what included files are relative to
        self._refuses_unknown = unknown == "error"
        self._files: list[str] = []  # that include each other
        self._seen: set[str] = set()  # directives that may be given once, and were

    def read(self, text: str, file: str, context: str) -> None:
        """Read a text whose directives are in a block of this name."""
        self._files.append(file)
        self._read_block(_words(text, file), context, file, text.count("\n") + 1)
        self._files.pop()

    def _read_block(
        self, words: Iterator[_Word], context: str, file: str, last: int, *, nested: bool = False
    ) -> None:
        """Read directives up to the end of a block, or of the file, whose last line is given."""
        directive: list[_Word] = []
        for word in words:
            if word.is_quoted or word.text not in (";", "{", "}"):
                directive.append(word)
                continue
            if bool(directive) == (word.text == "}"):
                raise NginxConfigError(f'unexpected "{word.text}"', file, word.line)
            if word.text == "}":
                return
            inner = self._take(directive, word, context, file)
            if inner is not None:
                self._read_block(words, inner, file, last, nested=True)
            directive.clear()
        if directive:
            raise NginxConfigError('unexpected end of file, expecting ";" or "}"', file, last)
        if nested:
            raise NginxConfigError('unexpected end of file, expecting "}"', file, last)

    def _take(self, words: list[_Word], end: _Word, context: str, file: str) -> str | None:
        """Read a directive; if it begins a block, return the context of what is in there."""
        name, *args = [_ESCAPED.sub(_unescaped, word.text) for word in words]
        first_line = words[-1].line
        ends_with = end.text
        if name in _LUA_BLOCKS and words[-1].is_quoted and len(words) > 1:
            ends_with = "code"
            args[-1] = words[-1].text
            first_line -= args[-1].count("\n")
        directive = _Directive(name, args, context, file, end.line, first_line)
        rule = None if context == _OPAQUE else _RULES.get(name)
        if rule is None:
            if self._refuses_unknown and context != _OPAQUE:
                raise directive.error(f'unknown directive "{name}"')
            inner = name if name in _PLAIN_BLOCKS and context != _OPAQUE else _OPAQUE
        else:
            _check(directive, rule, ends_with)
            rule.apply(self, directive)
            inner = name
        return inner if ends_with == "{" else None

    def _include(self, directive: _Directive) -> None:
        pattern = str(self._folder / directive.args[0])
        for path in sorted(glob(pattern)) if has_magic(pattern) else [pattern]:
            if path in self._files:
                raise directive.error(f'"{path}" includes itself')
            try:
                text = _read_text(path)
            except OSError as error:
                raise directive.error(
                    f'open() "{path}" failed ({error.errno}: {error.strerror})'
                ) from None
            self.read(text, path, directive.context)

    def _only_once(self, directive: _Directive) -> None:
        if directive.name in self._seen:
            raise directive.error(f'"{directive.name}" directive is duplicate')
        self._seen.add(directive.name)

    def _thread_pool(self, directive: _Directive) -> None:
        name, *parameters = directive.args
        if name in self.conf.pools:
            raise directive.error(f'duplicate thread pool "{name}"')
        if not name:
            raise directive.error('invalid thread pool name ""')  # nginx would take it
        values: dict[str, int] = {}
        for parameter in parameters:
            key, equals, text = parameter.partition("=")
            if not equals or key not in ("threads", "max_queue"):
                if self._refuses_unknown:
                    raise directive.error(f'invalid parameter "{parameter}"')
                continue
            number = _number(text)
            if number is None or (key == "threads" and number == 0):
                raise directive.error(f'invalid {key} value "{parameter}"')
            values[key] = number
        if "threads" not in values:
            raise directive.error('"thread_pool" must have "threads" parameter')
        self.conf.pools[name] = values

    def _package_path(self, directive: _Directive) -> None:
        option = directive.name.removeprefix("lua_")
        if getattr(self.conf, option):
            raise directive.error(f'"{directive.name}" directive is duplicate')
        path = directive.args[0]
        for variable in "$prefix", "${prefix}":
            path = path.replace(variable, f"{self.conf.prefix}/")
        setattr(self.conf, option, path or None)

    def _shared_dict(self, directive: _Directive) -> None:
        name, text = directive.args
        if not name:
            raise directive.error('invalid lua shared dict name ""')
        try:
            size = parse_size(text)
            SharedDict(name, size)
        except ValueError:
            raise directive.error(f'invalid lua shared dict size "{text}"') from None
        if name in self.conf.shared:
            other = self.conf.shared[name]
            if other != size:
                raise directive.error(
                    f'the size {size} of shared memory zone "{name}" conflicts with already '
                    f"declared size {other}"
                )
            raise directive.error(f'lua_shared_dict "{name}" is already defined as "{name}"')
        self.conf.shared[name] = size

    def _vm_pool_size(self, directive: _Directive) -> None:
        self._only_once(directive)
        size = _number(directive.args[0])
        # With 0, nginx begins, and then runs nothing.
        if not size:
            raise directive.error(f'"{directive.name}" directive invalid number')
        self.conf.vm_pool_size = size

    def _lua_code(self, directive: _Directive) -> None:
        phase, _, form = directive.name.partition("_by_lua")
        if phase in self.conf.code:
            raise directive.error(f'"{directive.name}" directive is duplicate')
        code = directive.args[0]
        if not code:
            if phase == "init":
                raise directive.error("invalid location config: no runnable Lua code")
            return
        try:
            if form == "_file":
                chunk = Chunk.from_file(self.conf.prefix / code)
            else:
                # So that Lua counts the lines as the file has them.
                chunk = Chunk("\n" * (directive.first_line - 1) + code)
                mark = "=" if directive.file == _TEXT else "@"
                chunk.chunkname = (mark + directive.file).encode()
        except (OSError, ValueError) as error:
            raise directive.error(f"{directive.name} error: {error}") from error
        self.conf.code[phase] = chunk


_RULES: Final = {
    "include": _Rule(None, (1,), ";", _Reader._include),
    "events": _Rule("main", (0,), "{", _Reader._only_once),
    "http": _Rule("main", (0,), "{", _Reader._only_once),
    "thread_pool": _Rule("main", (2, 3), ";", _Reader._thread_pool),
    "lua_package_path": _Rule("http", (1,), ";", _Reader._package_path),
    "lua_package_cpath": _Rule("http", (1,), ";", _Reader._package_path),
    "lua_shared_dict": _Rule("http", (2,), ";", _Reader._shared_dict),
    "lua_worker_thread_vm_pool_size": _Rule("http", (1,), ";", _Reader._vm_pool_size),
    **{f"{phase}_by_lua": _Rule("http", (1,), ";", _Reader._lua_code) for phase in _PHASES},
    **{f"{phase}_by_lua_file": _Rule("http", (1,), ";", _Reader._lua_code) for phase in _PHASES},
    **{
        f"{phase}_by_lua_block": _Rule("http", (1,), "code", _Reader._lua_code) for phase in _PHASES
    },
}


def _check(directive: _Directive, rule: _Rule, ends_with: str) -> None:
    name = directive.name
    if rule.context not in (None, directive.context):
        raise directive.error(f'"{name}" directive is not allowed here')
    if ends_with != rule.ends_with:
        if rule.ends_with == ";":
            raise directive.error(f'directive "{name}" is not terminated by ";"')
        raise directive.error(f'directive "{name}" has no opening "{{"')
    if len(directive.args) not in rule.counts:
        raise directive.error(f'invalid number of arguments in "{name}" directive')


def _words(text: str, file: str) -> Iterator[_Word]:
    """Take a text apart, but for comments."""
    words: list[_Word] = []
    failure: NgxParserSyntaxError | None = None
    with NamedTemporaryFile("w", encoding="utf-8") as copy:  # crossplane reads nothing but files
        copy.write(text + "\n")  # it passes over a word right at the end
        copy.flush()
        try:
            words.extend(map(_Word._make, crossplane.lex(copy.name)))
        except NgxParserSyntaxError as error:
            failure = error
    for word in words:
        if word.is_quoted or not word.text.startswith("#"):
            yield word
    # Who reads the words knows better what is missing at the end.
    if failure is not None and not failure.strerror.endswith('expecting "}"'):
        raise NginxConfigError(failure.strerror, file, failure.lineno)


def _lex_lua_block(
    characters: Iterator[tuple[str, int]], _: str
) -> Iterator[tuple[str, int, bool]]:
    """
    Read what follows the name of a Lua block, in the place of crossplane's own function for it.

    That one does not know long brackets, so a brace or a quote in them leads it astray, and it is
    not called for all blocks that there are.

    Args:
        characters: the characters, those after a backslash together with it, and their lines.

    Yields:
        Words as crossplane has them: the code is the last one, with the line in which it ends.
    """
    word = ""
    for character, line in characters:
        if word and (character.isspace() or character in ";{"):
            yield word, line, False
            word = ""
        if character == "{":
            yield from _lex_lua_code(characters, line)
            return
        if character == ";":
            yield ";", line, False
            return
        word += character.strip()


def _lex_lua_code(
    characters: Iterator[tuple[str, int]], line: int
) -> Iterator[tuple[str, int, bool]]:
    code = ""
    depth = 1  # of braces
    closing = ""  # what ends the string or the comment that we are in
    begin = 0  # of that, or of the code after it
    for character, here in characters:
        code += character
        is_over = False
        if closing in ("'", '"'):
            is_over = character in (closing, "\n")
        elif closing == "\n" and (bracket := _LONG_BRACKET.fullmatch(code, begin)):
            closing, begin = bracket[0].replace("[", "]"), len(code)
        elif closing:
            is_over = code.endswith(closing, begin)
        elif character in ("'", '"'):
            closing = character
        elif code.endswith("--", begin):
            closing, begin, line = "\n", len(code), here
        elif character == "[":
            bracket = _LONG_BRACKET.fullmatch(code, max(begin, code.rfind("[", begin, -1)))
            if bracket:
                closing, begin, line = bracket[0].replace("[", "]"), len(code), here
        elif character in ("{", "}"):
            depth += 1 if character == "{" else -1
            line = here
        if is_over:
            closing, begin = "", len(code)
        if not depth:
            yield code[:-1], line, True
            yield ";", line, False
            return
    if closing.startswith("]"):
        message = (
            f'Lua code block missing the closing long bracket "{closing}", '
            "the inlined Lua code may be too long"
        )
    else:
        message = "unexpected end of file, expecting terminating characters for lua code block"
    raise NgxParserSyntaxError(message, None, line)


register_external_lexer(_LUA_BLOCKS, _lex_lua_block)


def _number(text: str) -> int | None:
    """Return a number as nginx reads it, or None."""
    return int(text) if text.isascii() and text.isdigit() and int(text) < 2**63 else None


def _unescaped(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[1])


def _read_text(path: str) -> str:
    content = Path(path).read_bytes()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise NginxConfigError("invalid UTF-8", path, line) from None
