"""Loads the component that the package carries, and keeps its compiled form."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import stat
import tempfile
from functools import cache
from importlib import metadata
from pathlib import Path

from wasmtime import Config, Engine, WasmtimeError
from wasmtime.component import Component, Linker

_log = logging.getLogger("molecule_runtime")

# As for the native host: room for one message of the largest size the platform has, several times over.
MEMORY_BYTES = 256 << 20
_STACK_BYTES = 1 << 20
# What it takes to be run is made anew if one of these changes.
_CONFIGURATION = "1"


@cache
def load() -> tuple[Engine, Component]:
    """The engine and the component of the process. The first time on a machine it is compiled, about a second."""
    engine = _engine()
    wasm = Path(__file__).with_name("component.wasm").read_bytes()
    kept = _kept(wasm)
    if kept is not None and _is_ours_alone(kept):
        try:
            return engine, Component.deserialize_file(engine, str(kept))
        except WasmtimeError as cause:
            _log.info("the compiled component in %s is made anew: %s", kept, cause)
    component = Component(engine, wasm)
    if kept is not None:
        _keep(kept, bytes(component.serialize()))
    return engine, component


def linker(engine: Engine, component: Component, seed: tuple[int, int]) -> Linker:
    """What the component gets: where the order of its hash maps begins. Everything else ends it."""
    linker = Linker(engine)
    with linker.root() as root:
        with root.add_instance("wasi:random/insecure-seed@0.2.6") as random:
            random.add_func("insecure-seed", lambda _store: seed)
    linker.define_unknown_imports_as_traps(component)
    return linker


def _engine() -> Engine:
    config = Config()
    config.wasm_component_model = True
    config.epoch_interruption = True
    config.memory_reservation = MEMORY_BYTES
    config.memory_may_move = False
    config.max_wasm_stack = _STACK_BYTES
    return Engine(config)


def _kept(wasm: bytes) -> Path | None:
    """Where the compiled form is kept; none if there is no home."""
    try:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    made_by = f"{metadata.version('wasmtime')}\n{platform.machine()}\n{_CONFIGURATION}\n".encode()
    return Path(root, "molecule-runtime", hashlib.sha256(made_by + wasm).hexdigest()[:32] + ".cwasm")


def _is_ours_alone(path: Path) -> bool:
    """Whether only this user can have written the file: it is machine code that is run as it is."""
    for each, kind in ((path, stat.S_ISREG), (path.parent, stat.S_ISDIR)):
        try:
            found = each.lstat()
        except OSError:
            return False
        if not kind(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            return False
    return True


def _keep(path: Path, compiled: bytes) -> None:
    """Keeps the compiled form for the next start; without it that one takes a second longer."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(compiled)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise
    except OSError as cause:
        _log.info("the compiled component is not kept: %s", cause)
