"""
Every error that the library raises, under one base.

ThreadPoolError
├── LuaError                 the Lua code of a task failed
│   ├── LuaSyntaxError       the Lua code of a task does not compile
│   ├── LuaTimeLimitError    it ran for longer than ``time_limit`` (also a TimeoutError)
│   └── LuaMemoryLimitError  it used more than ``memory_limit`` (also a MemoryError)
├── StateLostError           the Lua state that a paused task was in had to be replaced
├── InitError                the pool's ``init`` chunk failed in a new state
├── MarshalError             a value cannot cross between Python and Lua (also a TypeError)
├── CoroutineError           a coroutine that runs or has ended is resumed (also a RuntimeError)
├── QueueFullError           the pool's queue holds ``max_queue`` tasks
├── PoolNotFoundError        there is no pool of that name (also a KeyError)
├── NginxConfigError         there is an error in nginx's configuration (also a ValueError)
├── SharedDictFullError      a shared dictionary has no room for a value (also a MemoryError)
└── PoolClosedError          the pool is not open, or it closed before the task could run
"""

from __future__ import annotations

from typing import Any


class ThreadPoolError(Exception):
    """The base of every error that this library raises."""


class LuaError(ThreadPoolError):
    """
    Raised when the Lua code of a task fails.

    ``str()`` of it is the Lua message, as Lua words it, with its position.

    Attributes:
        message: the error as text. For an error value that is no string this is what its
            ``__tostring`` says, or else `(error object is a table value)`, as the `lua` command
            words it.
        value: the error value itself where it is not a string (a number, a boolean, a dict, a list
            or ``None``), and the same as `message` where it is. A value that cannot cross to
            Python, such as a function or a string that is not valid UTF-8, is ``None`` here.
        chunk: the name of the chunk in which the error was raised, as Lua shows it, or ``None``
            where no Lua code was running.
        line: the line in that chunk, or ``None``.
        traceback: the Lua stack traceback, innermost call first.
    """

    def __init__(
        self,
        message: str,
        *,
        value: Any = None,
        chunk: str | None = None,
        line: int | None = None,
        traceback: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.value = value
        self.chunk = chunk
        self.line = line
        self.traceback = traceback
        # Of the Python exception that Lua has let through, in the task that it was raised in.
        self._exception_number: int | None = None
        if traceback:
            self.add_note(traceback)


class LuaSyntaxError(LuaError):
    """Raised when a chunk does not compile; `chunk` and `line` say where."""


class LuaTimeLimitError(LuaError, TimeoutError):
    """
    Raised when a task has run in Lua for longer than the pool's ``time_limit``.

    `chunk`, `line` and `traceback` say where it was ended; where a function of C did not return,
    they are not known.
    """


class LuaMemoryLimitError(LuaError, MemoryError):
    """Raised when the Lua state in which a task runs has used up the pool's ``memory_limit``."""


class StateLostError(ThreadPoolError):
    """
    Raised by a paused task when its Lua state had to be replaced for what another task did there.

    Attributes:
        name: the name of the pool.
        reason: what happened to the state.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f'thread pool "{self.name}": the Lua state of a paused task is lost: {self.reason}'


class InitError(ThreadPoolError):
    """
    Raised by every task that needed a new Lua state when the pool's ``init`` chunk failed in it.

    Its ``__cause__`` is the `LuaError` of the init chunk. The next task tries again.

    Attributes:
        name: the name of the pool.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f'thread pool "{self.name}": init failed: {self.__cause__}'


class MarshalError(ThreadPoolError, TypeError):
    """
    Raised when a value cannot cross between Python and Lua.

    The text names the direction and the path of the offending value, as in
    ``argument 2: ['users'][3]: cannot pass a function``.
    """


class CoroutineError(ThreadPoolError, RuntimeError):
    """
    Raised when a coroutine that cannot be resumed is resumed.

    Attributes:
        status: its status: "queued", "running", "success", "failed" or "destroyed".
    """

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status

    def __str__(self) -> str:
        # Lua's own words, but for the status.
        return f"cannot resume a coroutine whose status is {self.status!r}"


class QueueFullError(ThreadPoolError):
    """
    Raised by ``submit`` when as many tasks wait as the pool's ``max_queue`` allows.

    Attributes:
        name: the name of the pool.
        max_queue: the bound.
        waiting: how many tasks wait now, beyond those that idle threads take at once.
    """

    def __init__(self, name: str, max_queue: int, waiting: int) -> None:
        super().__init__(name, max_queue, waiting)
        self.name = name
        self.max_queue = max_queue
        self.waiting = waiting

    def __str__(self) -> str:
        # nginx's own words (ngx_thread_task_post), so that its users find them.
        return f'thread pool "{self.name}" queue overflow: {self.waiting} tasks waiting'


class PoolNotFoundError(ThreadPoolError, KeyError):
    """
    Raised when `ThreadPools` have no pool of a name.

    Attributes:
        name: the name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f'thread pool "{self.name}" not found'  # as nginx logs it, for `aio threads=`


class NginxConfigError(ThreadPoolError, ValueError):
    """
    Raised for an error in nginx's configuration, in nginx's words.

    Attributes:
        message: what is wrong.
        file: the file, or ``<text>`` where the configuration was not in a file.
        line: the line, as nginx counts it: the one in which the directive ends.
    """

    def __init__(self, message: str, file: str, line: int) -> None:
        super().__init__(message, file, line)
        self.message = message
        self.file = file
        self.line = line

    def __str__(self) -> str:
        return f"{self.message} in {self.file}:{self.line}"


class SharedDictFullError(ThreadPoolError, MemoryError):
    """
    Raised when a value does not fit into a shared dictionary.

    Attributes:
        name: the name of the dictionary.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f'no memory in lua_shared_dict zone "{self.name}"'  # as nginx logs it


class PoolClosedError(ThreadPoolError):
    """
    Raised when a pool that is not open is used.

    Attributes:
        name: the name of the pool.
        reason: why it takes no tasks: "is not open", "is closed" and the like.
    """

    def __init__(self, name: str, reason: str = "is closed") -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f'thread pool "{self.name}" {self.reason}'
