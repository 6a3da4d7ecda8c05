"""Who may import whom, and what `import avssl` may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import avssl

PACKAGE = Path(avssl.__file__).parent
REPOSITORY = PACKAGE.parent

MAY_IMPORT = {
    "core": set(),
    "media": {"core"},
    "samplers": {"core"},
    "transforms": {"core"},
    "encoders": {"core"},
    "losses": {"core"},
    "programs": {"core"},
    "tasks": {"core", "encoders", "losses", "programs"},
    "data": {"core", "media", "samplers", "transforms"},
    "packing": {"core", "data", "media"},
    "training": {"core", "data", "tasks", "encoders"},
    "evaluation": {"core", "data", "encoders", "media", "samplers", "tasks", "training", "transforms"},
    "report": {"core"},
    "cli": {"core", "evaluation", "training", "report"},
}


def imported_rooms(source: str) -> set[str]:
    """The rooms that a file imports, wherever in it the import stands."""
    rooms = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "avssl" else [f"avssl.{a.name}" for a in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "avssl" and len(parts) > 1:
                rooms.add(parts[1])
    return rooms


def files_of(room: str) -> list[Path]:
    single = PACKAGE / f"{room}.py"
    return [single] if single.exists() else sorted((PACKAGE / room).rglob("*.py"))


def test_every_room_is_listed() -> None:
    there = {p.stem for p in PACKAGE.glob("*.py")} | {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").exists()}
    assert there - {"__init__"} == set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    words = set(avssl.__all__) | {"__version__"}
    for path in files_of(room):
        found = imported_rooms(path.read_text()) - {room} - words
        assert found <= MAY_IMPORT[room], f"{path} imports {sorted(found - MAY_IMPORT[room])}"


def test_the_check_sees_an_import_inside_a_function() -> None:
    assert imported_rooms("def f():\n    from avssl.data.clips import Clips\n") == {"data"}


def test_recipes_never_import_one_another() -> None:
    recipes = {p.stem for p in (REPOSITORY / "recipes").glob("*.py")}
    assert recipes
    for path in (REPOSITORY / "recipes").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0
                assert (node.module or "").split(".")[0] not in recipes | {"recipes"}


def modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


HEAVY = {"torchaudio", "decord", "matplotlib", "jinja2"}


def test_importing_avssl_is_quick() -> None:
    assert not modules_after("import avssl") & (HEAVY | {"torch", "torchvision", "av"})


def test_importing_every_room_leaves_heavy_libraries_alone() -> None:
    rooms = [r for r in MAY_IMPORT if r not in {"core", "cli"}]
    assert not modules_after("; ".join(f"import avssl.{r}" for r in rooms)) & HEAVY


def test_the_report_needs_no_torch() -> None:
    assert "torch" not in modules_after("import avssl.report")


def test_samplers_need_no_torch() -> None:
    assert not modules_after("import avssl.samplers") & {"torch", "av"}


def test_a_recipe_has_at_most_sixty_lines() -> None:
    for path in (REPOSITORY / "recipes").glob("*.py"):
        lines = len(path.read_text().splitlines())
        assert lines <= 60, f"{path.name} has {lines} lines; what it shares with others belongs in a room"
