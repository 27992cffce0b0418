"""A client in a terminal of its own."""

import os
import pty
import re
import signal
import struct
import fcntl
import termios
import threading
import time

# What terminals are asked, and what one answers.
QUESTIONS = [(b"\x1b[6n", b"\x1b[1;1R"), (b"\x1b[c", b"\x1b[?1;2c"), (b"\x1b]11;?", b"\x1b]11;rgb:0000/0000/0000\x1b\\")]
ESCAPES = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")


class Terminal:
    """A program behind a pseudo-terminal; what it prints is kept."""

    def __init__(self, command: list[str], environment: dict[str, str], directory: str) -> None:
        self.printed = b""
        self.process, self.master = pty.fork()
        if self.process == 0:
            os.chdir(directory)
            os.execvpe(command[0], command, environment)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            if not data:
                return
            self.printed += data
            for question, answer in QUESTIONS:
                for _ in range(data.count(question)):
                    os.write(self.master, answer)

    def text(self) -> str:
        return ESCAPES.sub(b"", self.printed).decode(errors="replace")

    def types(self, words: str) -> None:
        os.write(self.master, words.encode())
        time.sleep(0.3)
        os.write(self.master, b"\r")

    def presses(self, keys: str) -> None:
        os.write(self.master, keys.encode())
        time.sleep(0.3)

    def shows(self, words: str, seconds: float = 30) -> bool:
        end = time.time() + seconds
        while time.time() < end:
            if words.replace(" ", "") in self.text().replace(" ", ""):
                return True
            time.sleep(0.05)
        return False

    def close(self) -> None:
        try:
            os.kill(self.process, signal.SIGTERM)
            for _ in range(40):
                if os.waitpid(self.process, os.WNOHANG)[0]:
                    return
                time.sleep(0.05)
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
        except (OSError, ChildProcessError):
            pass
