#!/usr/bin/env python3
"""How long a runtime takes in Python and in Node, against the stand-in in DIR. Ends with 1 if a budget is exceeded.

    bench.py DIR PACKAGE      PACKAGE is the installed package for Node; that for Python is found by its name
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from molecule_runtime import Runtime

from scenarios import Platform

CALLS = 3_000
# Microseconds of a call that needs no request, p50.
BUDGETS = {"Python": 1_000, "Node": 60}
NODE = """
const { createRuntime } = await import(process.argv[1]);
const begun = performance.now();
const { PLATFORM_URL: platform, WORKSPACE_ID: workspace, MOLECULE_WORKSPACE_TOKEN: token } = process.env;
const runtime = await createRuntime({ platform, workspace, token });
const start = performance.now() - begun;
const took = [];
await runtime.callTool('inbox_peek');
for (let call = 0; call < 2 * %d; call++) {
  const begun = performance.now();
  await runtime.callTool('inbox_peek');
  took.push(performance.now() - begun);
}
console.log(JSON.stringify({ start, took: took.slice(%d) }));
await runtime.close();
""" % (CALLS, CALLS)


def python(platform):
    begun = time.perf_counter()
    with Runtime(platform.url, platform.workspace, token=platform.token) as runtime:
        start = time.perf_counter() - begun
        runtime.call_tool("inbox_peek")
        took = []
        for _ in range(CALLS):
            begun = time.perf_counter()
            runtime.call_tool("inbox_peek")
            took.append((time.perf_counter() - begun) * 1_000)
    return {"start": start * 1_000, "took": took}


def node(platform, package):
    command = ["node", "--input-type=module", "--eval", NODE, f"{package}/src/index.js"]
    environment = {**os.environ, **platform.environment}
    return json.loads(subprocess.check_output(command, env=environment, text=True))


def main():
    directory, package = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    platform = Platform(directory)
    try:
        measured = {"Python": python(platform), "Node": node(platform, package)}
    finally:
        platform.end()
    print("| | Python | Node |\n|---|---|---|")
    for name, of in [
        ("until a runtime is there, ms", lambda found: found["start"]),
        ("a local call, p50, µs", lambda found: statistics.median(found["took"]) * 1_000),
        ("a local call, p95, µs", lambda found: statistics.quantiles(found["took"], n=20)[-1] * 1_000),
    ]:
        print(f"| {name} | {of(measured['Python']):.0f} | {of(measured['Node']):.0f} |")
    slow = [name for name, found in measured.items() if statistics.median(found["took"]) * 1_000 > BUDGETS[name]]
    if slow:
        sys.exit(f"slower than the budget: {', '.join(slow)}")


if __name__ == "__main__":
    main()
