"""Calls one function of the plugin in wasmtime-py, in a store of its own: NAME, then the arguments as JSON.

Prints the answer as JSON, {"ok": …} or {"err": …}. The compiled component is kept beside it.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from wasmtime import Config, Engine, Store, WasiConfig
from wasmtime.component import Component, Linker, Record, Variant

GRANTED = ["PLATFORM_URL", "WORKSPACE_ID", "MOLECULE_WORKSPACE_TOKEN", "MOLECULE_STATE_DIR"]


def compiled(engine: Engine, path: Path) -> Component:
    """The component, compiled once for all processes."""
    cached = path.with_suffix(".python.cwasm")
    if cached.exists():
        return Component.deserialize_file(engine, str(cached))
    component = Component.from_file(engine, str(path))
    draft = cached.with_suffix(f".{os.getpid()}")
    draft.write_bytes(component.serialize())
    draft.rename(cached)
    return component


def plain(value: Any) -> Any:
    if isinstance(value, Record):
        return {name.replace("_", "-"): plain(field) for name, field in vars(value).items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


def main() -> None:
    path, name, arguments = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    engine = Engine(Config())
    component = compiled(engine, path)
    if name == "--compile":
        return
    linker = Linker(engine)
    linker.add_wasip2()
    linker.add_wasi_http()
    store = Store(engine)
    wasi = WasiConfig()
    wasi.env = [(name, os.environ[name]) for name in GRANTED if name in os.environ]
    wasi.inherit_stderr()
    if "STATE_ON_HOST" in os.environ:
        wasi.preopen_dir(os.environ["STATE_ON_HOST"], "/state")
    store.set_wasi(wasi)
    store.set_wasi_http()
    instance = linker.instantiate(store, component)
    function = instance.get_func(store, name)
    answer = function(store, *arguments)
    if isinstance(answer, Variant):
        tag, answer = answer.tag, answer.payload
    else:
        # Where the two cases have different types, the value comes without its case.
        tag = "err" if isinstance(answer, str) else "ok"
    print(json.dumps({tag: plain(answer)}))


main()
