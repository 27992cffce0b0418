"""A pretend model: speaks as much of two model APIs as real clients need, and plays a script.

The Messages API (`POST /v1/messages`) for Claude Code, the Responses API (`POST /v1/responses`) for Codex. Each request is
noted with the time at which it came. The script: a request whose last words carry a notice of molecule-mcp is answered by
a call of `inbox_peek`; the result of that by an answer to its sender and `inbox_pop`; everything else by a word.
"""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NOTICE = re.compile(r"Automatic notice \d+ at [\d:]+ from molecule-mcp")


class Model:
    """The server, and what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[float, str, dict]] = []
        self.changed = threading.Condition()
        self.script = Script()
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(length) if length else self.read_chunks()
                came = time.time()
                try:
                    asked = json.loads(body or b"{}")
                except ValueError:
                    asked = {}
                model.note(came, self.path, asked)
                if "count_tokens" in self.path:
                    return self.send_json({"input_tokens": 1})
                if "/messages" in self.path:
                    return self.stream(messages_events(asked, model.script), asked.get("stream"))
                if "/responses" in self.path:
                    return self.stream(responses_events(asked, model.script), True)
                return self.send_json({})

            def do_GET(self) -> None:
                self.send_json({"data": [], "models": [], "object": "list"})

            def do_HEAD(self) -> None:
                self.send_json({})

            def read_chunks(self) -> bytes:
                if "chunked" not in (self.headers.get("transfer-encoding") or ""):
                    return b""
                whole = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    whole += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return whole

            def send_json(self, answer: dict) -> None:
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def stream(self, events: tuple[dict, list[tuple[str, dict]]], streamed: bool) -> None:
                whole, parts = events
                if not streamed:
                    return self.send_json(whole)
                body = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in parts).encode()
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def note(self, came: float, path: str, asked: dict) -> None:
        with self.changed:
            self.requests.append((came, path, asked))
            self.changed.notify_all()

    def wait_for(self, matches, since: int = 0, seconds: float = 30):
        """The first request from number `since` on that matches, with its number."""
        end = time.time() + seconds
        with self.changed:
            while True:
                for number, request in enumerate(self.requests[since:], since):
                    if matches(request):
                        return number, request
                left = end - time.time()
                if left <= 0:
                    return None
                self.changed.wait(left)

    def __len__(self) -> int:
        return len(self.requests)


class Script:
    """What the model does next."""

    def __init__(self) -> None:
        self.pending: str | None = None

    def next(self, words: str, result: str | None) -> tuple:
        """("say", text), ("call", tool, arguments) or ("sleep",): `words` came last, `result` is that of the last call."""
        found = in_json(result)
        if found.get("messages"):
            message = found["messages"][0]
            self.pending = message["activity_id"]
            return ("call", "send_message_to_user", {"message": f"answer to {message['text']}"})
        if "removed" in found:
            return ("say", "Done.")
        if result is not None and self.pending:
            activity_id, self.pending = self.pending, None
            return ("call", "inbox_pop", {"activity_id": activity_id})
        if NOTICE.search(words):
            return ("call", "inbox_peek", {})
        if result is None and "please be busy" in words:
            return ("sleep",)
        return ("say", "Well.")


def in_json(text: str | None) -> dict:
    try:
        return json.JSONDecoder().raw_decode(text[text.index("{"):])[0]
    except (AttributeError, TypeError, ValueError):
        return {}


def text_of(content) -> str:
    if isinstance(content, str):
        return content
    parts = []
    for block in content or []:
        if isinstance(block, dict):
            parts.append(block.get("text") or text_of(block.get("content") or block.get("output") or ""))
    return "\n".join(parts)


def of(message: dict) -> list[dict]:
    blocks = message.get("content")
    return [block for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []


# The Messages API.

def messages_events(asked: dict, script: Script):
    content = asked.get("messages") or []
    blocks = [block for message in content[-2:] for block in of(message) if message.get("role") != "assistant"]
    results = [text_of(block.get("content")) for block in blocks if block.get("type") == "tool_result"]
    words = "\n".join(text_of(message.get("content")) for message in content[-2:])
    # Requests without tools are for titles and the like.
    action = script.next(words, results[-1] if results else None) if asked.get("tools") else ("say", "Well.")
    if action[0] == "say":
        block, start, delta = (
            {"type": "text", "text": action[1]}, {"type": "text", "text": ""},
            {"type": "text_delta", "text": action[1]},
        )
        reason = "end_turn"
    else:
        name, given = ("Bash", {"command": "sleep 4"}) if action[0] == "sleep" else (f"mcp__molecule__{action[1]}", action[2])
        call = {"type": "tool_use", "id": f"toolu_{time.time_ns()}", "name": name}
        block, start, delta = (
            {**call, "input": given}, {**call, "input": {}},
            {"type": "input_json_delta", "partial_json": json.dumps(given)},
        )
        reason = "tool_use"
    message = {
        "id": f"msg_{time.time_ns()}", "type": "message", "role": "assistant", "model": asked.get("model", "m"),
        "content": [], "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    parts = [
        ("message_start", {"type": "message_start", "message": message}),
        ("content_block_start", {"type": "content_block_start", "index": 0, "content_block": start}),
        ("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta}),
        ("content_block_stop", {"type": "content_block_stop", "index": 0}),
        ("message_delta", {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None},
                           "usage": {"output_tokens": 1}}),
        ("message_stop", {"type": "message_stop"}),
    ]
    return {**message, "content": [block], "stop_reason": reason}, parts


# The Responses API.

def responses_events(asked: dict, script: Script):
    items = asked.get("input") or []
    result, words = None, ""
    for item in reversed(items):
        if item.get("type") == "function_call_output" and result is None:
            result = text_of(item.get("output"))
        elif item.get("type") in (None, "message") and item.get("role") == "user":
            words = text_of(item.get("content"))
            break
    action = script.next(words, result) if asked.get("tools") else ("say", "Well.")
    number = time.time_ns()
    if action[0] == "say":
        item = {"type": "message", "role": "assistant", "id": f"msg_{number}",
                "content": [{"type": "output_text", "text": action[1], "annotations": []}]}
    else:
        of_us = {"namespace": "mcp__molecule", "name": action[1], "arguments": json.dumps(action[2])} if action[0] == "call" else {}
        sleep = {"name": "exec_command", "arguments": json.dumps({"cmd": "sleep 4", "yield_time_ms": 10_000})}
        item = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", **(of_us or sleep)}
    response = {"id": f"resp_{number}", "object": "response", "status": "completed", "output": [item],
                "usage": {"input_tokens": 1, "input_tokens_details": None, "output_tokens": 1,
                          "output_tokens_details": None, "total_tokens": 2}}
    parts = [
        ("response.created", {"type": "response.created", "response": {"id": response["id"]}}),
        ("response.output_item.done", {"type": "response.output_item.done", "output_index": 0, "item": item}),
        ("response.completed", {"type": "response.completed", "response": response}),
    ]
    return response, parts
