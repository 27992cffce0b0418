"""The one owner of the component's store.

Calls go one after the other; each computes and returns. After a trap the store is thrown away and the next call
finds a fresh instance: what was on disk is handed to it again by those who reopen their dialogues.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from wasmtime import Store, WasmtimeError
from wasmtime.component import Instance

from . import _component
from ._values import Case, Function, Record

_log = logging.getLogger("molecule_runtime")

_TABLE_ELEMENTS = 20_000
_BUDGET_SECS = 0.25
# What a turn gets on top for each MiB that it has to read.
_BUDGET_SECS_PER_MIB = 0.1
_LOOK_EVERY_SECS = 0.05
_SEEDS = 1 << 64

_FUNCTIONS = {
    "setup": ["start", "refused"],
    "tools": ["specs", "instructions", "open"],
    "inbox": ["open", "settle", "open-files", "follow", "describe"],
    "secrets": ["open", "remember"],
    "wake": ["open"],
    "dialogues": ["resume", "cancel"],
}


class GuestDown(Exception):
    """The sandboxed tool logic stopped. The call may be made again, although what it asked for may have been done."""


class Guest:
    """The running component. Its calls may come from any thread."""

    def __init__(self, settings: Record) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._engine, component = _component.load()
        self._linker = _component.linker(self._engine, component, settings.seed[:2])
        self._component = component
        self._watchdog = _Watchdog(self._engine.increment_epoch)
        self._live: _Live | None = None
        # How often the component has stopped. What was told to an instance is gone with it.
        self.stops = 0
        self.on_stop: Callable[[], None] = lambda: None
        with self._lock:
            self._live = self._instantiate()

    def call(self, function: str, *arguments: Any, reads: int = 0) -> Any:
        """Calls a function of the component, as `tools.open`, which has to read so many bytes.

        Raises `GuestDown` if the component stops.
        """
        with self._lock:
            live, self._live = self._live, None
            try:
                live = live or self._instantiate()
                # The watchdog counts the epoch up only to end a turn, which may have ended by itself.
                live.store.set_epoch_deadline(1)
                with self._watchdog.watching(reads):
                    result = live.functions[function](live.store, *arguments)
            except WasmtimeError as cause:
                self.stops += 1
                why = str(cause).strip().splitlines()
                down = GuestDown(f"the sandboxed tool logic stopped: {why[-1].strip() if why else 'no reason'}")
                _log.error("%s", down)
            except BaseException:
                # What was wrong is this call's alone.
                self._live = live
                raise
            else:
                self._live = live
                return result
        self.on_stop()
        raise down

    def resume(self, dialogue: int, outcome: Case, now: int) -> Record:
        """Tells a dialogue what happened, and gives its next turn."""
        body = getattr(outcome.payload, "body", b"") if outcome.tag == "responded" else b""
        turn: Record = self.call("dialogues.resume", dialogue, outcome, now, reads=len(body))
        return turn

    def close(self) -> None:
        """Ends the watchdog; nothing may be called any more."""
        self._watchdog.end()

    def _instantiate(self) -> _Live:
        store = Store(self._engine)
        store.set_limits(_component.MEMORY_BYTES, _TABLE_ELEMENTS, 16, 16, 4)
        store.set_epoch_deadline(1)
        live = _Live(store, self._linker.instantiate(store, self._component))
        # Each instance has a seed of its own: ids and markers never come twice.
        *first, last = self._settings.seed
        seed = (*first, (last + self.stops) % _SEEDS)
        live.functions["setup.start"](store, Record(**{**vars(self._settings), "seed": seed}))
        return live


class _Live:
    """An instance and its store; gone after a trap."""

    def __init__(self, store: Store, instance: Instance) -> None:
        self.store = store
        self.functions: dict[str, Function] = {}
        for interface, names in _FUNCTIONS.items():
            index = instance.get_export_index(store, f"molecule:mcp/{interface}@0.1.0")
            for name in names:
                found = index and instance.get_export_index(store, name, index)
                function = found and instance.get_func(store, found)
                if not function:
                    raise WasmtimeError(f"the component has no {interface}.{name}")
                self.functions[f"{interface}.{name}"] = Function(function, store)


class _Watchdog:
    """Ends a turn that computes for too long. Its thread sleeps while the component is not used."""

    def __init__(self, end_turn: Callable[[], None]) -> None:
        self._end_turn = end_turn
        self._due: float | None = None
        self._used = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._watch, name="molecule-watchdog", daemon=True)
        self._thread.start()

    def watching(self, reads: int) -> _Watchdog:
        self._due = time.monotonic() + _BUDGET_SECS + _BUDGET_SECS_PER_MIB * (reads >> 20)
        if not self._used.is_set():
            self._used.set()
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._due = None

    def end(self) -> None:
        self._ended = True
        self._used.set()

    def _watch(self) -> None:
        while not self._ended:
            self._used.wait()
            self._used.clear()
            # A call that is still running keeps it awake.
            while True:
                time.sleep(_LOOK_EVERY_SECS)
                due = self._due
                if due is None:
                    break
                if time.monotonic() > due:
                    self._end_turn()
                    break
