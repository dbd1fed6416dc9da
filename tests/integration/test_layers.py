"""The laws of the tree, read from the `#include` lines: calls go down only, and a third-party header
has one home per layer."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'^\s*#include\s+([<"])([^">]+)[">]', re.MULTILINE)

# What each part may include, by the beginning of the path; the most specific part counts.
ALLOWED = {
    "base": ["base/"],
    "celery": ["base/", "celery/"],
    "encoder": ["base/", "encoder/"],
    "lib/models": ["base/", "lib/models/"],
    "lib/core": ["base/", "lib/core/", "lib/models/"],
    "lib/repositories": ["base/", "lib/core/", "lib/models/", "lib/repositories/"],
    "lib/services": ["base/", "lib/core/", "lib/models/", "lib/repositories/", "lib/services/"],
    "lib": ["base/", "celery/", "encoder/", "lib/"],
    "cli": ["base/", "celery/", "lib/", "cli/"],
}

# The one place that knows every part, and the crons that live beside their source.
EXCEPTIONS = {
    "lib/core/container.c": ["lib/"],
    "lib/core/container.h": ["lib/repositories/dataset_repository.h"],
    "lib/core/container_search.c": ["lib/", "encoder/cpu_count.h"],
    "lib/core/container_state.h": ["lib/"],
    "lib/services/search/vector_index.c": ["encoder/vector_file.h"],
}
CRONS = ("lib/crons/", "lib/services/enrichment/kaggle_parser/background.c")
CRON_INCLUDES = ["base/", "lib/core/container.h", "lib/crons/", "lib/models/", "lib/services/", "lib/worker.h"]

# Where a library may be used; the paths are prefixes.
HOMES = {
    "curl/": ["lib/core/http"],
    "sqlite3.h": ["base/database"],
    "oneapi/dnnl/": ["encoder/onednn"],
    "yaml.h": ["lib/core/config_file.c"],
    "openssl/": ["base/digest.c", "celery/redis/tls.c"],
    "bzlib.h": ["celery/codec_compress.c"],
    "zip.h": ["lib/services/enrichment/kaggle_parser/services/meta_"],
}


def sources() -> list[Path]:
    return [
        path
        for folder in ("base", "celery", "encoder", "lib", "cli", "include")
        for path in sorted((ROOT / folder).rglob("*.[ch]"))
    ]


def includes(path: Path) -> list[tuple[str, str]]:
    return INCLUDE.findall(path.read_text())


def allowed_for(name: str) -> list[str]:
    if name.startswith(CRONS):
        return CRON_INCLUDES
    part = max((part for part in ALLOWED if name.startswith(part + "/")), key=len)
    return ALLOWED[part] + EXCEPTIONS.get(name, [])


def test_calls_go_down_only() -> None:
    upward = [
        f"{path.relative_to(ROOT)} includes {target}"
        for path in sources()
        if not str(path.relative_to(ROOT)).startswith("include/")
        for kind, target in includes(path)
        if kind == '"' and not target.startswith(tuple(allowed_for(str(path.relative_to(ROOT)))))
    ]
    assert upward == []


def test_public_headers_include_public_headers_only() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} includes {target}"
        for path in sources()
        if str(path.relative_to(ROOT)).startswith("include/")
        for kind, target in includes(path)
        if kind == '"'
    ]
    assert wrong == []


@pytest.mark.parametrize("header", sorted(HOMES))
def test_a_library_has_one_home(header: str) -> None:
    users = [
        str(path.relative_to(ROOT))
        for path in sources()
        for kind, target in includes(path)
        if kind == "<" and target.startswith(header)
    ]
    assert users, f"nobody includes {header}: is the table out of date?"
    assert [user for user in users if not user.startswith(tuple(HOMES[header]))] == []


def test_sql_stands_in_repositories_only() -> None:
    statement = re.compile(r'"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE)\s', re.IGNORECASE)
    allowed = ("lib/repositories/", "lib/core/catalogue_schema.c", "base/database",
               "celery/backend/sqlite", "celery/broker/sqlite", "celery/control/mailbox_sqlite",
               "celery/history/sqlite")
    found = [
        str(path.relative_to(ROOT))
        for path in sources()
        if statement.search(path.read_text())
        and not str(path.relative_to(ROOT)).startswith(allowed)
    ]
    assert found == []


def test_no_banned_calls() -> None:
    banned = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|strtok|atoi|strtol|alloca|setjmp)\s*\(")
    found = [
        f"{path.relative_to(ROOT)}: {match.group(1)}"
        for path in sources()
        for match in banned.finditer(path.read_text())
    ]
    assert found == []
