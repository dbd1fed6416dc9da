"""The control door of the tests, below `/_hub/`. It meets no fault and counts nowhere.

    GET  /_hub/stats          counters                     GET /_hub/requests?since=N   the log
    POST /_hub/faults         {"spec":"cut=0.1","seed":7}  replace the faults in force
    POST /_hub/next           one rule or a list of them   script the next answers
    POST /_hub/mutate         {"hf":[…],"kaggle":[…]}      change the live catalogues
    POST /_hub/zenodo         {"publish":3,"revise":1}     change its records, see zenodo.py
    POST /_hub/reset          everything as it was at the start
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from standin.faults import FaultPlan, Script, parse_rule, parse_spec
from standin.mutate import BadOperation, Mutator
from standin.stats import Stats
from standin.wire import Request, Response, json_response


class Control:
    """The routes of the control door."""

    def __init__(self, stats: Stats, faults: FaultPlan, script: Script, mutator: Mutator,
                 reset: Callable[[], None],
                 change_zenodo: Callable[[Any], Any]) -> None:
        self._stats = stats
        self._faults = faults
        self._script = script
        self._mutator = mutator
        self._reset = reset
        self._routes: dict[tuple[str, str], Callable[[Request], Any]] = {
            ("GET", "/_hub/stats"): self._get_stats,
            ("GET", "/_hub/requests"): self._get_requests,
            ("POST", "/_hub/faults"): self._post_faults,
            ("POST", "/_hub/next"): self._post_next,
            ("POST", "/_hub/mutate"): self._post_mutate,
            ("POST", "/_hub/reset"): self._post_reset,
            ("POST", "/_hub/zenodo"): lambda request: change_zenodo(json.loads(request.body)),
        }

    def handle(self, request: Request) -> Response:
        """Answer one request; a mistake of the test answers 400 and says which."""
        route = self._routes.get((request.method, request.path))
        if route is None:
            known = ", ".join(" ".join(key) for key in self._routes)
            return json_response(404, {"error": f"known are: {known}"})
        try:
            return json_response(200, route(request))
        except (BadOperation, ValueError, TypeError) as bad:
            return json_response(400, {"error": str(bad)})

    def _get_stats(self, request: Request) -> Any:
        return {**self._stats.report(), "scripted_pending": self._script.pending(),
                "faults_in_force": self._faults.table(), **self._mutator.sizes()}

    def _get_requests(self, request: Request) -> Any:
        return self._stats.recent(int(request.value("since", "0")))

    def _post_faults(self, request: Request) -> Any:
        value = json.loads(request.body)
        seed = value.get("seed")
        self._faults.change(parse_spec(str(value.get("spec", ""))),
                            None if seed is None else int(seed))
        return {"faults": self._faults.table()}

    def _post_next(self, request: Request) -> Any:
        value = json.loads(request.body)
        rules = [parse_rule(item) for item in (value if isinstance(value, list) else [value])]
        for rule in rules:
            self._script.add(rule)
        return {"pending": self._script.pending()}

    def _post_mutate(self, request: Request) -> Any:
        return {"applied": self._mutator.apply(json.loads(request.body))}

    def _post_reset(self, request: Request) -> Any:
        self._reset()
        return {}
