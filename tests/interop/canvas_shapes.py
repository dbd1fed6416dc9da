"""One canvas per row: its source (canvas_client.py has the words), and what a program gets that waits for it.

What becomes of every single task (state, result, parent, children) is in
tests/fixtures/canvas/GENERATION.json, recorded from Celery's own workers by

    TRAWL_CANVAS=record pytest tests/interop/test_canvas_oracle.py

`get` is written by hand and holds for the oracle as well: where releases differ it is a table by
generation.  `wandering` names tasks that whichever header task came last has sent, a matter of luck.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shape:
    """What is sent, then what is expected."""

    name: str
    source: str
    get: str | dict[str, str]
    options: str = "{}"
    wandering: tuple[str, ...] = ()
    python: bool = False  # needs a Python worker on the queue python
    only: str | None = None  # generation
    # Not what Celery recorded, and right as well: where Celery leaves somebody waiting for ever, Trawl
    # tells the failure; and what depends on which member was last.  Labels, "" for what `get` gives.
    also: dict[str, str] = field(default_factory=dict)

    def get_for(self, generation: str) -> str:
        return self.get[generation] if isinstance(self.get, dict) else self.get


TOLD = "!ValueError told: invalid"
TOLD_TWICE = "!ConnectionError told: network"
CHORD_TOLD = "!ChordError Dependency #b raised ValueError('told: invalid')"
TOLD_LATER = {"debian": "PENDING", "current": TOLD}  # 5.2 forgets who waits

CHAINS = [
    Shape("chain", "t('a') | t('b') | t('c')", "a>b>c"),
    Shape("chain-first-fails", "bad('a') | t('b') | t('c')", TOLD),
    Shape("chain-middle-fails", "t('a') | bad('b') | t('c')", TOLD),
    Shape("chain-last-fails", "t('a') | t('b') | bad('c')", TOLD),
    Shape("chain-of-chains", "chain(t('a'), chain(t('b'), t('c')), t('d'))", "a>b>c>d"),
    Shape("chain-immutable", "t('a') | fixed(t('b')) | t('c')", "b>c"),
    Shape("chain-immutable-after-failure", "bad('a') | fixed(t('b')) | t('c')", TOLD),
    Shape("chain-errback", "t('a') | bad('b') | t('c')", TOLD, "{'link_error': [err('E')]}"),
    Shape("chain-errback-on-one", "t('a') | guarded(bad('b'), err('E')) | t('c')", TOLD),
    Shape("chain-errback-of-another", "guarded(t('a'), err('E')) | bad('b')", TOLD),
    Shape("chain-link", "t('a') | t('b')", "a>b", "{'link': [t('L')]}"),
    Shape("chain-link-inside", "linked(t('a'), t('L')) | t('b')", "a>b"),
    Shape("chain-retried", "t('a') | late('b', 1) | t('c')", "a>b>c"),
    Shape("chain-retried-in-vain", "t('a') | late('b', 9, retries=2) | t('c')", TOLD_TWICE),
    Shape("chain-of-ten", "chain(*[t(f'n{i}') for i in range(10)])",
          ">".join(f"n{i}" for i in range(10))),
    Shape("chain-ignored-result", "t('a') | t('b', ignore_result=True) | t('c')", "a>b>c"),
    Shape("chain-countdown", "t('a') | t('b', countdown=0.2) | t('c')", "a>b>c"),
    Shape("chain-priority", "t('a', priority=9) | t('b', priority=3)", "a>b"),
    Shape("chain-expired", "t('a') | t('b', countdown=0.6, expires=0.2) | t('c')", "PENDING"),
]

GROUPS = [
    Shape("group", "group(t('a'), t('b'), t('c'))", "[a, b, c]"),
    Shape("group-one-fails", "group(t('a'), bad('b'), t('c'))", TOLD),
    Shape("group-errback", "guarded(group(bad('a'), t('b')), err('E'))", TOLD),
    Shape("group-of-chains", "group(t('a') | t('b'), t('c') | t('d'))", "[a>b, c>d]"),
    Shape("group-of-groups", "group(group(t('a'), t('b')), t('c'))", "[a, b, c]"),
    Shape("group-of-one", "group([t('a')])", "[a]"),
    Shape("group-after-task", "t('a') | group(t('b'), t('c'))", "[a>b, a>c]"),
    Shape("group-after-failure", "bad('a') | group(t('b'), t('c'))", "PENDING",
          also={"b": TOLD, "c": TOLD, "": TOLD}),
    Shape("group-member-after-task-fails", "t('a') | group(t('b'), bad('c'))", TOLD),
    Shape("group-of-chord", "group(chord([t('a'), t('b')], t('c')), t('d'))", "[[a, b]>c, d]",
          wandering=("c",)),
]

UPGRADED = [
    Shape("upgraded", "group(t('a'), t('b')) | t('c')", "[a, b]>c", wandering=("c",)),
    Shape("upgraded-in-the-middle", "t('a') | group(t('b'), t('c')) | t('d')", "[a>b, a>c]>d",
          wandering=("d",)),
    Shape("upgraded-member-fails", "t('a') | group(bad('b'), t('c')) | t('d')", TOLD,
          wandering=("d",)),
    Shape("upgraded-then-more", "group(t('a'), t('b')) | t('c') | t('d')", "[a, b]>c>d",
          wandering=("c",)),
    Shape("upgraded-member-fails-then-more", "group(t('a'), bad('b')) | t('c') | t('d')", TOLD_LATER,
          wandering=("c",), also={"b": "!TypeError", "c": CHORD_TOLD}),
    Shape("group-then-group", "group(t('a'), t('b')) | group(t('c'), t('d'))",
          "[[a, b]>c, [a, b]>d]", wandering=("c", "d")),
    Shape("group-group-task", "group(t('a'), t('b')) | group(t('c'), t('d')) | t('e')",
          "[[a, b]>c, [a, b]>d]>e", wandering=("c", "d", "e")),
    Shape("two-groups-in-a-chain",
          "t('a') | group(t('b'), t('c')) | t('d') | group(t('e'), t('f')) | t('g')",
          "[[a>b, a>c]>d>e, [a>b, a>c]>d>f]>g", wandering=("d", "g")),
    Shape("chain-in-group-in-chain", "t('a') | group(t('b') | t('c'), t('d')) | t('e')",
          "[a>b>c, a>d]>e", wandering=("e",)),
]

CHORDS = [
    Shape("chord", "chord([t('a'), t('b'), t('c')], t('d'))", "[a, b, c]>d", wandering=("d",)),
    Shape("chord-member-fails", "chord([t('a'), bad('b')], t('c'))", TOLD, wandering=("c",)),
    Shape("chord-all-fail", "chord([bad('a'), bad('b')], t('c'))", TOLD, wandering=("c",)),
    Shape("chord-body-fails", "chord([t('a'), t('b')], bad('c'))", TOLD, wandering=("c",)),
    Shape("chord-empty", "chord([], t('a'))", "[]>a"),
    Shape("chord-of-one", "chord([t('a')], t('b'))", "[a]>b"),
    Shape("chord-of-twenty", "chord([t(f'h{i}') for i in range(20)], t('z'))",
          f"[{', '.join(f'h{i}' for i in range(20))}]>z", wandering=("z",)),
    Shape("chord-body-chain", "chord([t('a'), t('b')], t('c') | t('d'))", "[a, b]>c>d",
          wandering=("c",)),
    Shape("chord-body-chain-member-fails", "chord([t('a'), bad('b')], t('c') | t('d'))", TOLD_LATER,
          wandering=("c", "d"), also={"b": "!TypeError", "c": CHORD_TOLD}),
    Shape("chord-body-chain-fails", "chord([t('a'), t('b')], bad('c') | t('d'))", TOLD,
          wandering=("c",)),
    Shape("chord-body-group", "chord([t('a'), t('b')], group(t('c'), t('d')))",
          "[[a, b]>c, [a, b]>d]", wandering=("c", "d")),
    Shape("chord-body-group-member-fails", "chord([t('a'), bad('b')], group(t('c'), t('d')))",
          TOLD_LATER, wandering=("c", "d")),
    Shape("chord-body-immutable", "chord([t('a'), t('b')], fixed(t('c')))", "c", wandering=("c",)),
    Shape("chord-body-errback", "chord([t('a'), bad('b')], guarded(t('c'), err('E')))", TOLD,
          wandering=("c",)),
    Shape("chord-body-fails-errback", "chord([t('a'), t('b')], guarded(bad('c'), err('E')))", TOLD,
          wandering=("c",)),
    Shape("chord-body-two-errbacks", "chord([bad('a'), t('b')], guarded(t('c'), err('E'), err('F')))",
          TOLD, wandering=("c",)),
    Shape("chord-header-errback", "chord([t('a'), guarded(bad('b'), err('E'))], t('c'))", TOLD,
          wandering=("c",)),
    Shape("chord-body-link", "chord([t('a'), t('b')], linked(t('c'), t('L')))", "[a, b]>c",
          wandering=("c",)),
    Shape("chord-member-link", "chord([linked(t('a'), t('L')), t('b')], t('c'))", "[a, b]>c",
          wandering=("c",)),
    Shape("chord-of-chains", "chord([t('a') | t('b'), t('c')], t('d'))", "[a>b, c]>d",
          wandering=("d",)),
    Shape("chord-of-chains-first-fails", "chord([bad('a') | t('b'), t('c')], t('d'))", TOLD,
          wandering=("d",)),
    Shape("chord-of-chains-last-fails", "chord([t('a') | bad('b'), t('c')], t('d'))", TOLD,
          wandering=("d",)),
    Shape("chord-of-chord", "chord([chord([t('a'), t('b')], t('c')), t('d')], t('e'))",
          "[[a, b]>c, d]>e", wandering=("c", "e")),
    Shape("chord-of-chord-fails", "chord([chord([t('a'), bad('b')], t('c')), t('d')], t('e'))",
          "PENDING", wandering=("c", "e"), also={
              "e": "!ChordError Dependency #c raised "
                   "ChordError(\"Dependency #b raised ValueError('told: invalid')\")",
              "": CHORD_TOLD}),
    Shape("chord-of-groups", "chord([group(t('a'), t('b')), t('c')], t('d'))",
          "[b, a, c]>d",  # Celery's order
          wandering=("d",)),
    Shape("chord-of-group-of-chains", "chord(group(t('a') | t('b'), t('c') | t('d')), t('e'))",
          "[a>b, c>d]>e", wandering=("e",)),
    Shape("chord-in-chain", "t('a') | chord([t('b'), t('c')], t('d')) | t('e')", "[a>b, a>c]>d>e",
          wandering=("d",)),
    Shape("chord-in-chain-member-fails", "t('a') | chord([t('b'), bad('c')], t('d')) | t('e')",
          TOLD_LATER, wandering=("d",)),
    Shape("chord-in-chain-body-fails", "t('a') | chord([t('b'), t('c')], bad('d')) | t('e')", TOLD,
          wandering=("d",)),
    Shape("chord-in-chain-before-fails", "bad('a') | chord([t('b'), t('c')], t('d'))", TOLD_LATER),
    Shape("chord-retried-member", "chord([t('a'), late('b', 1)], t('c'))", "[a, b]>c",
          wandering=("c",)),
    Shape("chord-retried-in-vain", "chord([t('a'), late('b', 9, retries=2)], t('c'))", TOLD_TWICE,
          wandering=("c",)),
    Shape("chord-member-expired", "chord([t('a'), t('b', countdown=0.6, expires=0.2)], t('c'))",
          "!TaskRevokedError expired", wandering=("c",)),
    Shape("chord-ignored-result", "chord([t('a'), t('b', ignore_result=True)], t('c'))",
          "[a, b]>c", wandering=("c",)),
]

LINKS = [
    Shape("link", "linked(t('a'), t('L'))", "a"),
    Shape("links", "linked(t('a'), t('L'), t('M'))", "a"),
    Shape("link-of-link", "linked(t('a'), linked(t('L'), t('M')))", "a"),
    Shape("link-fails", "linked(t('a'), bad('L'))", "a"),
    Shape("link-of-failed", "linked(bad('a'), t('L'))", TOLD),
    Shape("link-chain", "linked(t('a'), t('L') | t('M'))", "a"),
    Shape("link-group", "linked(t('a'), group(t('L'), t('M')))", "a"),
    Shape("link-chord", "linked(t('a'), chord([t('L'), t('M')], t('N')))", "a", wandering=("N",)),
    Shape("link-immutable", "linked(t('a'), fixed(t('L')))", "a"),
    Shape("errback", "guarded(bad('a'), err('E'))", TOLD),
    Shape("errbacks", "guarded(bad('a'), err('E'), err('F'))", TOLD),
    Shape("errback-not-needed", "guarded(t('a'), err('E'))", "a"),
    Shape("errback-with-link", "guarded(bad('a'), linked(err('E'), t('L')))", TOLD),
    Shape("errback-chain", "guarded(bad('a'), err('E') | t('F'))",
          {"debian": "!TypeError", "current": TOLD}, also={"E": "(#a) ^a +F", "F": "(#a)>F ^E"}),
    Shape("errback-after-retries", "guarded(late('a', 9, retries=2), err('E'))", TOLD_TWICE),
    Shape("errback-fails", "guarded(bad('a'), refuse('E'))", TOLD),
    Shape("errback-of-errback", "guarded(bad('a'), guarded(refuse('E'), err('F')))", TOLD),
    Shape("errback-of-link", "linked(t('a'), guarded(bad('L'), err('E')))", "a"),
    Shape("link-and-errback", "guarded(linked(t('a'), guarded(bad('L'), err('E'))), err('F'))", "a"),
    Shape("unregistered-in-chain", "t('a') | task('no.such.task', queue='left') | t('b')",
          "PENDING", also={"b": "!NotRegistered no.such.task", "": "!NotRegistered 'no.such.task'"}),
]

STAMPS = [
    Shape("stamps-in-chain", "stamped(t('a') | stamps('s') | t('b'), tag='x')",
          '{"tag": "x"}>b', python=True, only="current"),
    Shape("stamps-in-chord", "stamped(chord([t('a'), t('b')], stamps('s')), tag='x')",
          "{}", wandering=("s",), python=True, only="current"),
    Shape("stamps-in-link", "stamped(linked(t('a'), stamps('s')), tag=['x', 'y'])", "a", python=True,
          only="current"),
    Shape("stamps-in-group-of-chain", "stamped(t('a') | group(stamps('r'), stamps('s')), tag='x')",
          '[{"tag": "x"}, {"tag": "x"}]', python=True, only="current"),
    Shape("stamped-chain", "stamped(t('a') | t('b'), tag='x')", "a>b", only="current"),
    Shape("stamped-group", "stamped(group(t('a'), t('b')), tag=['x', 'y'])", "[a, b]",
          only="current"),
    Shape("stamped-chord", "stamped(chord([t('a'), t('b')], t('c')), tag='x')", "[a, b]>c",
          wandering=("c",), only="current"),
    Shape("stamped-link", "stamped(linked(t('a'), t('L')), tag='x')", "a", only="current"),
    Shape("stamped-failure", "stamped(guarded(bad('a'), err('E')), tag='x')", TOLD, only="current"),
    Shape("stamped-member", "t('a') | stamped(t('b'), tag='x') | t('c')", "a>b>c", only="current"),
]

BUILT_IN = [
    Shape("map", "map('m', task('probe.value'), [1, 'x', None])", "[(1), (x), (null)]"),
    Shape("map-fails", "map('m', task('probe.stumble'), [1])", TOLD),
    Shape("starmap", "starmap('m', task('probe.trace'), [(1, 'x'), (2, 'y')])", "[1>x, 2>y]"),
    Shape("map-in-chain", "t('a') | map('m', task('probe.value'), [1, 2]) | t('b')", "[(1), (2)]>b"),
    Shape("map-in-chord", "chord([map('m', task('probe.value'), [1]), t('a')], t('b'))",
          "[[(1)], a]>b", wandering=("b",)),
    Shape("chunks", "chunks(task('probe.trace'), [(1, 'x'), (2, 'y'), (3, 'z')], 2)",
          "[[1>x, 2>y], [3>z]]", "{'queue': 'left'}"),
    Shape("accumulate", "task('celery.accumulate', args=(1, 2), queue='right')", "[1, 2]"),
    Shape("accumulate-index", "task('celery.accumulate', args=(1, 2), kwargs={'index': 1}, queue='left')",
          "2"),
]

PYTHON = [
    Shape("replaced", "t('a') | become('r', t('b')) | t('c')", "b>c", python=True),
    Shape("replaced-by-chain", "t('a') | become('r', t('b') | t('c')) | t('d')", "b>c>d",
          python=True),
    Shape("replaced-by-group", "t('a') | become('r', group(t('b'), t('c'))) | t('d')", "[b, c]>d",
          wandering=("r",), python=True),
    Shape("replaced-by-failing", "t('a') | become('r', bad('b')) | t('c')", TOLD, python=True),
    Shape("replaced-in-chord", "chord([t('a'), become('r', t('b'))], t('c'))", "[a, b]>c",
          wandering=("c",), python=True),
    Shape("replaced-errback", "guarded(become('r', bad('b')), err('E'))", "PENDING", python=True),
    Shape("replaced-by-chord", "become('r', chord([t('a'), t('b')], t('c'))) | t('d')",
          "[a, b]>c>d", wandering=("c",), python=True),
    Shape("sent-from-task", "t('a') | send('s', t('b')) | t('c')", "a>sent>c", python=True),
    Shape("chord-grown", "chord([t('a'), grow('g', t('b'))], t('c'))", "[a, b, grown]>c",
          wandering=("c",), python=True),
]

SHAPES = CHAINS + GROUPS + UPGRADED + CHORDS + LINKS + STAMPS + BUILT_IN + PYTHON
