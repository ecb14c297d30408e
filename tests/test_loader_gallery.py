"""The gallery of loaders and the example of a new one say what is so."""

from __future__ import annotations

import ast
import inspect
import re

import pytest

import cjm_analytics as cjm

LOADERS = sorted(set(cjm.loaders.__all__) - {"describe"})
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| `(.+)` \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def gallery(root):
    return {
        name: (reads, code) for name, reads, code in ROW.findall((root / "docs" / "gallery.md").read_text())
    }


def test_every_loader_is_in_the_gallery_once(root, gallery):
    assert sorted(gallery) == LOADERS
    assert len(ROW.findall((root / "docs" / "gallery.md").read_text())) == len(LOADERS)


@pytest.mark.parametrize("name", LOADERS)
def test_its_line_says_what_the_loader_says_and_calls_it_rightly(name, gallery):
    reads, code = gallery[name]
    loader = getattr(cjm.loaders, name)
    assert inspect.getdoc(loader).splitlines()[0] == f"Read {reads}."
    call = ast.parse(code, mode="eval").body
    assert ast.unparse(call.func) == f"cjm.loaders.{name}"
    signature = inspect.signature(loader)
    bound = signature.bind(*call.args, **{one.arg: one.value for one in call.keywords})
    free = next((one.name for one in signature.parameters.values() if one.kind is one.VAR_KEYWORD), "")
    assert set(bound.arguments.get(free, {})) <= set(inspect.signature(cjm.loaders.table).parameters)


def test_the_example_of_a_loader_is_a_loader(root, tmp_path):
    page = (root / "CONTRIBUTING.md").read_text()
    code = page[page.index("## Add a loader") :].split("```python\n")[1].split("```")[0]
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 22
    made = {}
    exec(compile(code, "doorbell.py", "exec"), made)  # noqa: S102 - it is ours
    path = tmp_path / "doors.csv"
    path.write_text(
        "terminal,number,visitor,card_number,kind,opened_at,floor\n"
        "t1,1,v1,,IN,2025-03-01 10:00:00,2\n"
        "t1,1,v1,,IN,2025-03-01 10:00:00,2\n"
        "t1,2,v1,ada,OUT,2025-03-01 10:20:00,2\n"
        "t1,3,v1,ada,OUT,soon,2\n"
    )
    events = cjm.ingest(made["doorbell"](path, keep=["floor"]), max_reject_share=0.5, progress=False)
    frame = events.to_frame().sort_values("timestamp")
    assert frame["event"].tolist() == ["store_entered", "store_left"]
    assert frame["customer_id"].nunique() == 1
    assert frame["floor"].tolist() == ["2", "2"]
    (account,) = events.report().sources
    assert (account.duplicates, account.rejected) == (1, 1)
