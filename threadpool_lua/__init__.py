"""nginx's thread pools for asyncio: named pools of threads that run Lua."""

from ._chunk import Chunk as Chunk
from ._coroutine import Coroutine as Coroutine
from ._exceptions import (
    CoroutineError as CoroutineError,
    InitError as InitError,
    LuaError as LuaError,
    LuaMemoryLimitError as LuaMemoryLimitError,
    LuaSyntaxError as LuaSyntaxError,
    LuaTimeLimitError as LuaTimeLimitError,
    MarshalError as MarshalError,
    NginxConfigError as NginxConfigError,
    PoolClosedError as PoolClosedError,
    PoolNotFoundError as PoolNotFoundError,
    QueueFullError as QueueFullError,
    SharedDictFullError as SharedDictFullError,
    StateLostError as StateLostError,
    ThreadPoolError as ThreadPoolError,
)
from ._ngx.shared import SharedDict as SharedDict
from ._pool import ThreadPool as ThreadPool
from ._pools import ThreadPools as ThreadPools
from ._statistics import Histogram as Histogram, PoolStatistics as PoolStatistics
from ._stream import Stream as Stream

__version__ = "0.1.0"

__all__ = [
    # pools
    "Chunk",
    "Coroutine",
    "Histogram",
    "PoolStatistics",
    "SharedDict",
    "Stream",
    "ThreadPool",
    "ThreadPools",
    # errors
    "CoroutineError",
    "InitError",
    "LuaError",
    "LuaMemoryLimitError",
    "LuaSyntaxError",
    "LuaTimeLimitError",
    "MarshalError",
    "NginxConfigError",
    "PoolClosedError",
    "PoolNotFoundError",
    "QueueFullError",
    "SharedDictFullError",
    "StateLostError",
    "ThreadPoolError",
]

for _name in __all__:
    # Tracebacks and reprs show the name that users import.
    globals()[_name].__module__ = __name__
del _name
