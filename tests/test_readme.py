"""What the README says is so."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_recipe_shown_is_the_recipe() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert (ROOT / "recipes" / "vcop.py").read_text() in blocks


def test_every_file_named_exists() -> None:
    names = set(re.findall(r"\b(?:recipes|tools|tests|avssl)/[\w/]+\.(?:py|png)", README))
    assert names
    assert not [n for n in names if not (ROOT / n).exists()]


def test_every_recipe_is_listed() -> None:
    assert not [p.name for p in (ROOT / "recipes").glob("*.py") if p.name not in README]


def test_the_two_commands_are_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in ("demo", "test"):
        assert f"make {target}" in README
        assert re.search(rf"^{target}:", makefile, flags=re.M)


def test_every_row_of_results_names_its_command() -> None:
    table = README.split("## Results")[1].split("##")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) >= 4
    for row in rows:
        assert "recipes/" in row or "tools/" in row or row.startswith("| chance")
        assert re.search(r"\d\d\.\d", row)
