"""The thread pools of one loop, by name: what nginx's configuration declares."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from weakref import WeakSet

from ._exceptions import PoolNotFoundError, ThreadPoolError
from ._ngx.shared import SharedDict, parse_size
from ._ngx.worker import NgxWorker
from ._pool import ThreadPool, check_timeout

if TYPE_CHECKING:
    from ._nginx_conf import Unknown

_DEFAULT: Final = "default"

_members: Final[WeakSet[ThreadPool]] = WeakSet()  # the pools that are in some ThreadPools


class ThreadPools(Mapping[str, ThreadPool]):
    """
    Thread pools that belong together, by name: a mapping.

    Use it as ``async with ThreadPools(...) as pools``, or call `open` and `aclose`. Through ``ngx``
    the tasks of each pool can use the others, and the shared dictionaries.

    As in nginx there always is a pool "default". If none is given, it is what ``ThreadPool()``
    makes, and its threads are started when it is first used.

    Args:
        pools: the pools. They are opened and closed together.
        shared: the shared dictionaries that tasks find in ``ngx.shared``: their sizes in bytes, or
            as nginx writes them, by name: ``{"dogs": "10m"}``; or a `SharedDict`, which the pools
            of another loop may have, too.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: two pools have the same name, one is in other `ThreadPools`, or a size is none.
        ThreadPoolError: a pool has been opened.
    """

    def __init__(
        self, *pools: ThreadPool, shared: Mapping[str, str | int | SharedDict] | None = None
    ) -> None:
        self._worker = NgxWorker()
        self._pools: dict[str, ThreadPool] = {}
        self._undeclared: ThreadPool | None = None
        self._was_opened = False
        for name, size in (shared or {}).items():
            self._worker.shared[name] = _shared_dict(name, size)
        for pool in pools:
            if not isinstance(pool, ThreadPool):
                raise TypeError(f"a pool must be ThreadPool, not {type(pool).__name__}")
            if pool.name in self._pools:
                raise ValueError(f'duplicate thread pool "{pool.name}"')  # as nginx words it
            if pool in _members:
                raise ValueError(f'thread pool "{pool.name}" belongs to other ThreadPools')
            if pool._threads is not None:
                raise ThreadPoolError(f'thread pool "{pool.name}" has been opened already')
            self._pools[pool.name] = pool
        for pool in pools:
            _members.add(pool)
            pool._join(self._worker)
        if _DEFAULT not in self._pools:
            self._add_default(ThreadPool())

    def _add_default(self, pool: ThreadPool) -> None:
        """Let this be the pool that is there without being declared."""
        self._undeclared = self._pools[_DEFAULT] = pool
        _members.add(pool)
        pool._join(self._worker)

    @classmethod
    def from_nginx(
        cls,
        path_or_text: str | os.PathLike[str],
        /,
        *,
        unknown: Unknown = "ignore",
        prefix: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> Self:
        """
        Make the pools that nginx's configuration declares.

        These directives are read, in their places and by nginx's rules:

        - ``thread_pool``
        - ``lua_package_path`` and ``lua_package_cpath``, for all pools
        - ``lua_shared_dict``
        - ``init_by_lua*`` and ``init_worker_by_lua*``: run in this order in each new Lua state
        - ``lua_worker_thread_vm_pool_size``: how many states each pool has at most
        - ``include``, ``events``, ``http``

        Args:
            path_or_text: a path, or the configuration itself. A ``str`` is taken for the latter if
                it has a ``;``, a ``{`` or a line break, or is empty.
            unknown: whether other directives, and other parameters of ``thread_pool``, are passed
                over ("ignore") or are errors ("error").
            prefix: the folder that ``$prefix`` stands for in Lua's paths, and that the names of Lua
                files are relative to, as with nginx's ``-p``. By default it is that of the
                configuration file, or for a text the current one. Included files are relative to
                these in any case.
            options: further arguments for each `ThreadPool`, such as `lua` or `isolation`. They
                take precedence over the configuration.

        Raises:
            NginxConfigError: there is an error in the configuration; it names file and line.
            OSError: the file cannot be read.
            TypeError: an argument is of the wrong type.
            ValueError: an argument is out of bounds, or does not go with another.
        """
        from ._nginx_conf import read_nginx_conf  # with crossplane, which takes its time

        if unknown not in ("ignore", "error"):
            raise ValueError(f"unknown must be 'ignore' or 'error', not {unknown!r}")
        conf = read_nginx_conf(path_or_text, prefix, unknown)
        options = {
            "package_path": conf.package_path,
            "package_cpath": conf.package_cpath,
            "init": conf.init,
            **options,
        }

        def make(name: str, threads: int = 32, max_queue: int = 65536) -> ThreadPool:
            # nginx runs no more tasks than it has states, though all pools share them.
            size = conf.vm_pool_size
            states = None if size is None else min(size, threads)
            return ThreadPool(
                name, threads=threads, max_queue=max_queue, **{"states": states, **options}
            )

        pools = cls(
            *(make(name, **parameters) for name, parameters in conf.pools.items()),
            shared=conf.shared,
        )
        pools._worker.prefix = conf.prefix
        if _DEFAULT not in conf.pools:
            pools._add_default(make(_DEFAULT))
        return pools

    @property
    def shared(self) -> Mapping[str, SharedDict]:
        """The shared dictionaries, by name."""
        return MappingProxyType(self._worker.shared)

    def __getitem__(self, name: str) -> ThreadPool:
        """
        Return a pool.

        Raises:
            PoolNotFoundError: there is none of this name.
        """
        try:
            return self._pools[name]
        except KeyError:
            raise PoolNotFoundError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._pools)

    def __len__(self) -> int:
        return len(self._pools)

    def __repr__(self) -> str:
        return f"<ThreadPools {', '.join(map(repr, self._pools))}>"

    async def open(self) -> None:
        """
        Open all pools, or none if one cannot be opened. This is done once.

        Raises:
            ThreadPoolError: they have been opened before, or threads could not be started.
            PoolClosedError: they were closed meanwhile.
        """
        if self._was_opened:
            raise ThreadPoolError("thread pools cannot be opened twice")
        self._was_opened = True
        try:
            for pool in self._pools.values():
                if pool is self._undeclared:
                    pool._open_when_used()
                else:
                    await pool.open()
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self, timeout: float | None = None) -> None:
        """
        Close all pools, as `ThreadPool.aclose` does one.

        A task that has yet to finish can still use any pool through ``ngx``.

        Args:
            timeout: how many seconds tasks have to finish; ``None`` sets no limit.

        Raises:
            RuntimeError: a function that a task of a pool waits for has called this.
            TypeError: `timeout` is no number.
            ValueError: it is negative.
        """
        check_timeout(timeout)
        self._close()
        await asyncio.gather(*(pool.aclose(timeout) for pool in self._pools.values()))
        self._leave_worker()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all pools, as leaving the block of a `ThreadPool` does one."""
        self._close()
        try:
            await asyncio.gather(
                *(pool.__aexit__(kind, error, traceback) for pool in self._pools.values())
            )
        except asyncio.CancelledError:
            if not isinstance(error, Exception):  # which matters more, as in ThreadPool
                raise
        self._leave_worker()

    def _close(self) -> None:
        """Take no more tasks, before any pool is waited for."""
        caller = asyncio.current_task()
        for pool in self._pools.values():
            pool._check_not_served(caller)
        if self._was_opened:
            self._worker.exiting = True
            for pool in self._pools.values():
                pool._close()

    def _leave_worker(self) -> None:
        """Let go of what belongs to the loop, where a pool was never used or has been given up."""
        if self._was_opened:
            for name in self._pools:
                self._worker.leave(name)


def _shared_dict(name: str, size: str | int | SharedDict) -> SharedDict:
    if isinstance(size, SharedDict):
        return size
    if not isinstance(size, str | int) or isinstance(size, bool):
        raise TypeError(f"a size must be int, str or SharedDict, not {type(size).__name__}")
    return SharedDict(name, parse_size(size) if isinstance(size, str) else size)
