#!/usr/bin/env python3
"""Runs the first example of a README, as it stands, while a user talks to it.

    readme.py DIR README PROGRAM...     DIR holds the stand-in; PROGRAM runs the file that is its last argument
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from scenarios import PATIENCE_SECS, Platform, eventually

FENCES = {"python": ".py", "js": ".mjs"}


def main():
    directory, readme, program = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    language, example = re.search(r"^```(python|js)\n(.*?)^```", readme.read_text(), re.S | re.M).groups()
    platform = Platform(directory)
    try:
        with tempfile.TemporaryDirectory(dir=os.environ.get("EXAMPLE_DIR")) as place:
            file, token = Path(place, "example" + FENCES[language]), Path(place, "token")
            file.write_text(example)
            token.write_text(platform.token)
            token.chmod(0o600)
            own = {
                "PLATFORM_URL": platform.url,
                "WORKSPACE_ID": platform.workspace,
                "MOLECULE_WORKSPACE_TOKEN_FILE": str(token),
            }
            environment = {**os.environ, **own}
            agent = subprocess.Popen([*program, file], cwd=place, env=environment, stdout=subprocess.PIPE, text=True)
            try:
                eventually(lambda: "POST /registry/register" in platform.requests())
                platform.user_says("bye")
                said, _ = agent.communicate(timeout=PATIENCE_SECS)
            finally:
                agent.kill()
        assert agent.returncode == 0, agent.returncode
        assert platform.echo in said, said
        assert any("You said: bye" in str(heard) for heard in platform.heard()), platform.heard()
    finally:
        platform.end()
    print("ok")


main()
