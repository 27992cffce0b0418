"""The sandboxed tool runtime of molecule-mcp: presence, inbox and tools of a platform workspace.

    Runtime, AsyncRuntime --> Core --+-- Driver --> Guest (WebAssembly)
                                     +-- Presence     |
                                     `-- Inbox        `--> Ports: HTTP, files, time, log
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("molecule-runtime")
except PackageNotFoundError:
    __version__ = "0.0.0"

from ._core import Closed, Options, ToolOptions
from ._guest import GuestDown
from ._presence import AgentCard
from ._runtime import Answer, AsyncRuntime, Message, Runtime, Tool

__all__ = [
    "AgentCard",
    "Answer",
    "AsyncRuntime",
    "Closed",
    "GuestDown",
    "Message",
    "Options",
    "Runtime",
    "Tool",
    "ToolOptions",
]
