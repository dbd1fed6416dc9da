"""The command line of the stand-in."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from standin.faults import parse_spec
from standin.hf_catalog import date_ms
from standin.kaggle_meta import FILES

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "hub"
PLENTY = 1_000_000


@dataclass(frozen=True)
class Options:
    """Everything a run depends on. A path of None means: none of these data."""

    port: int
    storage_port: int
    hf: Path | None
    kaggle: Path | None
    meta_kaggle: Path | None
    model: Path | None
    faults: dict[str, float]
    seed: int
    window_s: float
    quota: int
    kaggle_quota: int
    hf_token: str
    kaggle_user: str
    kaggle_key: str
    kaggle_token: str
    kaggle_list: str
    kaggle_errors: str
    kaggle_twins: bool
    kaggle_retry_after: int | None
    zenodo: int
    zenodo_quota: int
    zip_csv: frozenset[str]
    url_s: float
    hang_s: float
    drip_s: float
    newest_ms: float | None
    link_origin: str
    gzip: bool
    quiet: bool
    until_eof: bool
    announce: Path | None


def path_or_none(text: str) -> Path | None:
    """A path that exists, or None for the word "none"."""
    if text == "none":
        return None
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"'{text}' does not exist")
    return path


def moment_or_now(text: str) -> float:
    """"now" or an ISO date as milliseconds since 1970."""
    if text == "now":
        return round(datetime.now(timezone.utc).timestamp() * 1000.0)
    moment = date_ms(text)
    if moment < 0:
        raise argparse.ArgumentTypeError(f"'{text}' is neither 'now' nor an ISO date")
    return moment


def names_of_csv(text: str) -> frozenset[str]:
    """"all", "none", or names of Meta Kaggle's files separated by commas."""
    if text in ("all", "none"):
        return frozenset(FILES if text == "all" else ())
    names = frozenset(text.split(","))
    if unknown := sorted(names - set(FILES)):
        raise argparse.ArgumentTypeError(f"'{unknown[0]}' is not one of {', '.join(FILES)}")
    return names


def fault_table(text: str) -> dict[str, float]:
    """The table of a fault specification."""
    try:
        return parse_spec(text)
    except ValueError as bad:
        raise argparse.ArgumentTypeError(str(bad)) from None


def make_parser() -> argparse.ArgumentParser:
    """The options with their defaults."""
    parser = argparse.ArgumentParser(
        prog="hub.py", description="A local stand-in for the Hugging Face Hub and Kaggle.")
    add = parser.add_argument
    add("--port", type=int, default=0, help="port of the API origin (0: a free one)")
    add("--storage-port", type=int, default=0, help="port of the storage origin")
    add("--hf", type=path_or_none, default=FIXTURES / "hf.jsonl", metavar="FILE.jsonl|none",
        help="rows in the API's form, or a Croissant-form catalogue")
    add("--kaggle", type=path_or_none, default=FIXTURES / "kaggle.jsonl",
        metavar="FILE.jsonl|FILE.csv|none", help="rows in the API's form, or Label,URL")
    add("--meta-kaggle", type=path_or_none, default=FIXTURES / "meta-kaggle",
        metavar="DIR|none", help="the six Meta Kaggle files")
    add("--model", type=path_or_none, default=None, metavar="DIR",
        help="files of sentence-transformers/all-MiniLM-L6-v2")
    add("--faults", type=fault_table, default={}, metavar="SPEC",
        help="such as cut=0.02,truncate=0.02,503=0.01,drip=0.01,html=0.01,hang=0.002")
    add("--seed", type=int, default=1, help="of the faults and the signing key")
    add("--window-seconds", type=float, default=300.0, help="length of a quota window")
    add("--quota", type=int, default=PLENTY, help="Hugging Face API requests per window")
    add("--kaggle-quota", type=int, default=PLENTY, help="Kaggle requests per method and window")
    add("--hf-token", default="hf_test")
    add("--kaggle-user", default="test")
    add("--kaggle-key", default="test-key")
    add("--kaggle-token", default="KGAT_test")
    add("--kaggle-list", choices=("array", "wrapper"), default="array",
        help="form of the REST list")
    add("--kaggle-errors", choices=("new", "old"), default="new", help="form of errors")
    add("--kaggle-twins", action="store_true", help="titleNullable, hasTitle, … in rows")
    add("--kaggle-retry-after", type=int, default=None, metavar="S",
        help="what Retry-After claims (default: the truth)")
    add("--zenodo", type=int, default=0, metavar="N", help="so many records at Zenodo")
    add("--zenodo-quota", type=int, default=PLENTY, help="searches of Zenodo per window")
    add("--zip-csv", type=names_of_csv, default=frozenset(("DatasetVersions.csv",)),
        metavar="all|none|NAME,NAME",
        help="Meta Kaggle files that come as NAME.csv.zip; zipped when first asked for "
        "(a file of 3 GB takes 16 s, so measurements want 'none')")
    add("--url-seconds", type=float, default=300.0, help="how long a signed URL is valid")
    add("--hang-seconds", type=float, default=5.0, help="how long a hang lasts (at most 60)")
    add("--drip-seconds", type=float, default=3.0, help="how long a drip lasts (at most 30)")
    add("--newest", type=moment_or_now, default=None, metavar="now|DATE",
        help="shift all dates so that the newest is this moment")
    add("--link-origin", default="", help="origin named in Link (default: our own), to act as "
        "a mirror behind which links still name https://huggingface.co")
    add("--gzip", action="store_true", help="compress JSON for clients that accept it")
    add("--quiet", action="store_true", help="no log on standard error")
    add("--until-eof", action="store_true",
        help="end when standard input does, so that a killed parent leaves nothing behind")
    add("--announce", type=Path, default=None, metavar="FILE",
        help="also write the announcement here")
    return parser


def parse_options(arguments: list[str]) -> Options:
    """The options of a command line; exits with status 2 and a message when they are wrong."""
    given = make_parser().parse_args(arguments)
    return Options(
        port=given.port, storage_port=given.storage_port, hf=given.hf, kaggle=given.kaggle,
        meta_kaggle=given.meta_kaggle, model=given.model, faults=given.faults, seed=given.seed,
        window_s=max(0.1, given.window_seconds), quota=given.quota,
        kaggle_quota=given.kaggle_quota, hf_token=given.hf_token, kaggle_user=given.kaggle_user,
        kaggle_key=given.kaggle_key, kaggle_token=given.kaggle_token,
        kaggle_list=given.kaggle_list, kaggle_errors=given.kaggle_errors,
        kaggle_twins=given.kaggle_twins, kaggle_retry_after=given.kaggle_retry_after,
        zenodo=given.zenodo, zenodo_quota=given.zenodo_quota,
        zip_csv=given.zip_csv, url_s=given.url_seconds, hang_s=min(60.0, given.hang_seconds),
        drip_s=min(30.0, given.drip_seconds), newest_ms=given.newest,
        link_origin=given.link_origin.rstrip("/"), gzip=given.gzip, quiet=given.quiet,
        until_eof=given.until_eof, announce=given.announce)
