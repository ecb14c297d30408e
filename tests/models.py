"""Small journey models, and what is said of them."""

from __future__ import annotations

import warnings

import pytest

from cjm_analytics.errors import ModelError, ModelWarning
from cjm_analytics.model import JourneyModel


def small(**more):
    """The least that is a model, and more."""
    return {
        "phase": [{"id": "before", "stages": ["looking"]}],
        "touchpoint": [{"id": "page", "stage": "looking", "match": {"event": "page"}}],
        **more,
    }


def faults_of(spec):
    """(path, fault and hint) of every error in a model."""
    with pytest.raises(ModelError) as caught:
        JourneyModel.from_dict(spec)
    rows = caught.value.failures.query("severity == 'error'")
    return [(row.path, f"{row.fault} {row.hint}".strip()) for row in rows.itertuples()]


def odd_things(spec):
    """(path, fault and hint) of every warning about a model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        found = JourneyModel.from_dict(spec).warnings
    assert set(found["severity"]) <= {"warning"}
    return [(row.path, f"{row.fault} {row.hint}".strip()) for row in found.itertuples()]


def touchpoint(**parts):
    return small(touchpoint=[{"id": "page", "stage": "looking", "match": {"event": "page"}, **parts}])


def marked(**parts):
    return small(marker={"purchase": {"role": "goal", "match": {"event": "buy"}, **parts}})


def branched(*branches):
    return {**marked(), "touchpoint": touchpoint(stage=list(branches))["touchpoint"]}


def surveyed(**parts):
    survey = {"id": "s", "instrument": "nps", "kind": "relational", "match": {"instrument": "nps"}}
    return small(survey=[{**survey, **parts}])


def assumed(**parts):
    return small(assumption=[{"id": "a", **parts}])
