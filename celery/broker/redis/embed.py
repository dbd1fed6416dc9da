#!/usr/bin/env python3
"""Write Lua files as C strings: embed.py OUT PRELUDE LIMITS FILE...

Each stands behind the prelude, but for those that begin with "-- Alone"; those that say
"-- With limits.lua." have that one, too."""

import pathlib
import sys


def c_string(text):
    lines = text.replace("\\", "\\\\").replace('"', '\\"').splitlines()
    return "\n".join(f'    "{line}\\n"' for line in lines)


def strip(path):
    """Without comments and indentation: the server keeps the text, nobody reads it there."""
    lines = (line.strip() for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("--")) + "\n"


def main(out, prelude, limits, *paths):
    parts = ["/* Made by celery/broker/redis/embed.py. */\n\n#include \"celery/broker/redis_scripts.h\"\n"]
    for path in sorted(map(pathlib.Path, paths)):
        source = path.read_text(encoding="utf-8")
        before = "" if source.startswith("-- Alone") else strip(prelude)
        text = before + (strip(limits) if "-- With limits.lua." in source else "") + strip(path)
        parts.append(f"\nconst char redis_text_{path.stem}[] =\n{c_string(text)};\n")
    pathlib.Path(out).write_text("".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
