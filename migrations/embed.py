#!/usr/bin/env python3
"""Write numbered SQL files as one C table: embed.py SYMBOL OUT FILE..."""

import hashlib
import pathlib
import re
import sys


def c_string(text):
    lines = text.replace("\\", "\\\\").replace('"', '\\"').splitlines()
    return "\n".join(f'     "{line}\\n"' for line in lines)


def main(symbol, out, *paths):
    rows = []
    last = 0
    for path in sorted(map(pathlib.Path, paths), key=lambda path: path.name):
        match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", path.name)
        if not match or int(match[1]) <= last:
            sys.exit(f"{path}: migrations are named NNNN_name.sql, each number once")
        last = int(match[1])
        text = path.read_text(encoding="utf-8")
        text = "\n".join(text.splitlines()) + "\n"
        checksum = hashlib.sha256(text.encode()).hexdigest()
        rows.append(f'    {{{int(match[1])}, "{match[2]}", "{checksum}",\n{c_string(text)}}},\n')
    pathlib.Path(out).write_text(
        f"/* Made by migrations/embed.py. */\n\n"
        f'#include "base/database_migration.h"\n\n'
        f"const struct migration {symbol}[] = {{\n{''.join(rows)}    {{.version = 0}},\n}};\n",
        encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
