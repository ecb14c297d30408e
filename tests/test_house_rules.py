"""What holds for every public name, whoever adds it."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys

import pytest

import cjm_analytics as cjm
from cjm_analytics._card import Shown
from test_loader_matrix import EVERY

FUNCTIONS = [name for name in cjm.__all__ if inspect.isfunction(getattr(cjm, name))]
CLASSES = [name for name in cjm.__all__ if inspect.isclass(getattr(cjm, name))]
RESULTS = [
    "Attribution",
    "ConversionTimes",
    "Drivers",
    "DropOff",
    "Flow",
    "Funnel",
    "JourneyMap",
    "Lifecycle",
    "Markov",
    "Matches",
    "NGrams",
    "Paths",
    "Retention",
    "Rework",
    "Satisfaction",
    "Stickiness",
    "Subsequences",
    "TimeTo",
    "Transitions",
]
LOADERS = [name for name in cjm.loaders.__all__ if inspect.isfunction(getattr(cjm.loaders, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_says_what_it_does_and_shows_it(name):
    text = inspect.getdoc(getattr(cjm, name)) or ""
    assert len(text.splitlines()[0]) > 10
    assert ">>>" in text, f"cjm.{name} has no doctest"


@pytest.mark.parametrize("name", LOADERS)
def test_a_loader_says_what_it_reads_and_shows_it(name):
    text = inspect.getdoc(getattr(cjm.loaders, name)) or ""
    assert ">>>" in text, f"cjm.loaders.{name} has no doctest"
    assert "Parameters" in text


def test_every_loader_is_under_the_matrix():
    loads = [case.values[0].load for case in EVERY]
    tried = {getattr(one, "func", one).__name__ for one in loads}
    assert tried == set(LOADERS) - {"describe"}


@pytest.mark.parametrize("name", CLASSES)
def test_a_public_class_is_described(name):
    assert len(inspect.getdoc(getattr(cjm, name)) or "") > 30


@pytest.mark.parametrize("function", [*FUNCTIONS, *(f"loaders.{name}" for name in LOADERS)])
def test_at_most_three_parameters_are_positional(function):
    target = cjm
    for part in function.split("."):
        target = getattr(target, part)
    kinds = [parameter.kind for parameter in inspect.signature(target).parameters.values()]
    assert kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD) <= 3


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_frozen_and_has_the_same_doors(name):
    result = getattr(cjm, name)
    assert dataclasses.is_dataclass(result)
    assert result.__dataclass_params__.frozen
    assert not hasattr(result, "__add__"), "results of two months do not add up: partials do"
    for door in ("to_frame", "plot"):
        assert callable(getattr(result, door))
    assert issubclass(result, Shown), "shows itself in a notebook and in a terminal"


def test_importing_loads_neither_plotly_nor_numba_nor_scipy_nor_an_extra():
    code = (
        "import sys, cjm_analytics; cjm_analytics.__all__;"
        "heavy = {'plotly', 'numba', 'scipy', 'kaleido', 'duckdb', 'polars', 'pyspark'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_kernels_are_compiled_by_our_own_decorator(root):
    """What `njit` compiles has to be compiled again by whoever calls it without Numba at hand."""
    texts = {path.name: path.read_text() for path in (root / "cjm_analytics").rglob("*.py")}
    assert {name for name, text in texts.items() if "njit" in text} == {"native.py"}
    assert {name for name, text in texts.items() if "import numba" in text} == set()


def test_every_name_is_where_the_shop_window_says(root):
    for name in cjm.__all__:
        assert getattr(cjm, name) is not None
    assert dir(cjm) == sorted(cjm.__all__)
    with pytest.raises(AttributeError, match="Did you mean 'sessionize'"):
        _ = cjm.sessionise
    with pytest.raises(AttributeError, match="Did you mean 'zendesk'"):
        _ = cjm.loaders.zendsk
    window = (root / "cjm_analytics" / "__init__.py").read_text()
    for_type_checkers = window[window.index("if TYPE_CHECKING") : window.index("_HOME")]
    for name in cjm.__all__:
        assert re.search(rf"\b{name}\b", for_type_checkers), name


def test_every_public_name_has_a_place_in_the_docs(root):
    pages = "".join(path.read_text() for path in (root / "docs").glob("*.md"))
    for name in (*FUNCTIONS, *CLASSES, *(f"loaders.{loader}" for loader in LOADERS)):
        assert f"::: cjm_analytics.{name}\n" in pages, name


def test_the_model_in_the_docs_is_sound(root, tmp_path):
    page = (root / "docs" / "journey_model.md").read_text()
    (tmp_path / "journey.toml").write_text(page.split("```toml\n")[1].split("```")[0])
    assert cjm.JourneyModel.read(tmp_path / "journey.toml").phases[0].id == "before"


def test_the_readme_names_only_targets_that_the_makefile_has(root):
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z]+)", (root / "README.md").read_text())) <= targets | {"alone"}


def test_no_module_is_called_something_that_says_nothing(root):
    empty = {"utils", "util", "helpers", "base", "manager", "core", "common", "misc"}
    modules = {path.stem.strip("_") for path in (root / "cjm_analytics").rglob("*.py")}
    assert not modules & empty


def test_nothing_in_the_package_opens_a_socket_or_a_url(root):
    for path in (root / "cjm_analytics").rglob("*.py"):
        assert not re.search(
            r"^\s*(import|from) (urllib|requests|socket|http)\b", path.read_text(), re.MULTILINE
        ), path
