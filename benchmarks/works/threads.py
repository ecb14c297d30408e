"""Two threads against one: the journey map and the funnel from disk."""

from __future__ import annotations

from ours import forget, opened

from works.funnel import DAYS, STEPS

TITLE = "two threads against one (funnel and journey map, from disk)"
GOALS = (("cjm, 2 threads", ("cjm, 1 thread",), 1.6),)


def _with(threads):
    def way(place):
        import cjm_analytics as cjm
        from cjm_analytics.engine.local import LocalEngine

        engine = LocalEngine(threads=threads)

        def ask():
            forget()
            plain = cjm.funnel(opened(place.journeys), STEPS, within=f"{DAYS} days", engine=engine)
            found = cjm.journey_map(opened(place.modelled), engine=engine)
            drop_off = [repr(share) for share in found.stages.to_frame()["drop_off"]]
            return [plain.to_frame()["reached"].tolist(), drop_off]

        return ask

    return way


WAYS = {"cjm, 2 threads": _with(2), "cjm, 1 thread": _with(1)}
