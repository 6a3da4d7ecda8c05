from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_run import make_run, score, write_config, write_draws, write_metrics

from avssl.report import read_run, write_report

VOID = {"meta", "img", "br", "link", "input", "hr", "col"}
SECTIONS = ["sampler", "curves", "probes", "speed", "transfer", "neighbours", "confusion", "skipped", "configuration"]


class Page(HTMLParser):
    """Checks that every element is closed in its turn and collects what the tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: dict[str, str] = {}
        self.section = "head"
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "section":
            self.section = str(dict(attrs)["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words[self.section] = " ".join((self.words.get(self.section, "") + data).split()) + " "

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(run: Path) -> Page:
    return Page(write_report(run).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "pace-whole")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every file, but few figures, for the tests that write many pages."""
    run = make_run(tmp_path_factory.mktemp("runs") / "small")
    (run / "draws.json").write_text(json.dumps(json.loads((run / "draws.json").read_text())[:1]))
    for path in (run / "draws").glob("00[1-9].npz"):
        path.unlink()
    (run / "metrics.jsonl").write_text('{"kind": "step", "step": 0, "loss": 1.0}\n')
    with np.load(run / "neighbours.npz") as found:
        strips = found["strips"][:1]
    words = json.loads((run / "neighbours.json").read_text())
    np.savez(run / "neighbours.npz", strips=strips)
    (run / "neighbours.json").write_text(json.dumps({k: v[:1] for k, v in words.items()}))
    return run


@pytest.fixture(scope="module")
def page(whole: Path) -> Page:
    return page_of(whole)


def test_importing_the_report_is_light() -> None:
    code = "import sys, avssl.report;print([m for m in ('torch', 'matplotlib', 'jinja2', 'PIL') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_writing_a_page_needs_no_torch(small: Path, tmp_path: Path) -> None:
    run = shutil.copytree(small, tmp_path / "run")
    code = f"import sys; from pathlib import Path; from avssl.report import *; write_report(Path({str(run)!r}));" + (
        "print('torch' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False False"


def test_the_page_needs_nothing_from_elsewhere(page: Page, whole: Path) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "data", "srcset", "poster", "action", "xlink:href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), f"<{tag} {name}={value[:60]}>"
    text = (whole / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"url\((?!#)[^)]*\)|@import|https?://", text) == []
    assert not {"script", "iframe", "link", "object", "embed"} & {tag for tag, _ in page.elements}
    policies = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_the_page_can_be_heard(page: Page) -> None:
    assert all(image.get("alt") for image in page.all("img"))
    assert len(page.all("img")) > 30
    assert len(page.all("table")) == len(page.all("caption"))
    pictures = [a for t, a in page.elements if a.get("role") == "img"]
    assert pictures
    assert all(a.get("aria-label") for a in pictures)
    assert all(a.get("aria-hidden") == "true" or a.get("role") == "img" for a in page.all("svg"))


def test_names_are_unique_and_all_references_are_met(page: Page) -> None:
    names = [str(a["id"]) for _, a in page.elements if "id" in a]
    assert len(names) == len(set(names))
    wanted = {str(a["href"])[1:] for _, a in page.elements if str(a.get("href", "")).startswith("#")}
    clips = {w for _, a in page.elements for w in re.findall(r"url\(#([^)]+)\)", str(a.get("clip-path", "")))}
    assert wanted | clips
    assert wanted | clips <= set(names)


def test_every_section_tells_its_values(page: Page) -> None:
    expected = {
        "head": ["pace-whole", "pace.py", "2026-02-03", "torch 2.14.1", "8 CPU cores", "1 min 02 s",
                 "1 line is damaged"],
        "sampler": ["slide_0007.mp4", "in_order 0", "pace 1 · 2 · 4", "clip 2, 1.18 s", "0.10 → 0.70 s, 16 frames",
                    "sound 1.60 – 2.60 s", "3×16×4 values", "3.20 s", "rotation 90", "still picture", "0 – 8 kHz"],
        "curves": ["loss", "accuracy", "lr"],
        "probes": ["motion linear-probe 62.2 %", "motion kNN", "appearance linear-probe"],
        "speed": ["clips / s", "median 31", "waiting for data"],
        "transfer": ["65.2 %", "59.2 – 71.2", "34.7 %", "mean colour", "12.5 %", "600 / 200", "R@1", "k 20",
                     "bootstrap over test items", "toybox, 600 + 200 clips"],
        "neighbours": ["circle · query", "✓", "✗", "same label", "other label"],
        "confusion": ["slide taken for zigzag (9)", "Percent of the row"],
        "skipped": ["2 files were not used", "/media/a.mp4", "1.2 s is shorter than 2 s", "no frame could be decoded"],
        "configuration": ["train.epochs", "10", "train.milestones", "frames", "16"],
    }  # fmt: skip
    assert list(page.words) == ["head", *SECTIONS]
    for section, words in expected.items():
        for word in words:
            assert word in page.words[section], f"{word!r} is not in {section}: {page.words[section][:400]}"


def test_an_empty_folder_is_told_what_to_do(tmp_path: Path) -> None:
    run = tmp_path / "my run"
    run.mkdir()
    page = page_of(run)
    for section in ("transfer", "neighbours", "confusion"):
        assert f"python tools/evaluate.py '{run}'" in page.words[section]
    for section in ("curves", "speed", "skipped", "configuration"):
        assert f"--train.out '{run}'" in page.words[section]
    assert "tools/inspect_sampler.py" in page.words["sampler"]
    assert "--train.probe-every" in page.words["probes"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match=r"--train\.out"):
        write_report(tmp_path / "nothing")


@pytest.mark.parametrize(
    "name",
    ["config.json", "metrics.jsonl", "draws.json", "draws", "scores.json", "confusion.json", "neighbours.npz",
     "neighbours.json"],
)  # fmt: skip
def test_each_file_may_be_missing(small: Path, tmp_path: Path, name: str) -> None:
    run = shutil.copytree(small, tmp_path / "run")
    shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
    assert list(page_of(run).words) == ["head", *SECTIONS]


@pytest.mark.parametrize("damage", [b"", b"\x00\xff\xfe", b"[1, 2", b'{"a": 1}', b"[[1], 2]", b"7"])
def test_each_file_may_be_damaged(small: Path, tmp_path: Path, damage: bytes) -> None:
    run = shutil.copytree(small, tmp_path / "run")
    for path in [p for p in run.rglob("*") if p.is_file() and p.name != "report.html"]:
        before = path.read_bytes()
        path.write_bytes(damage)
        page = page_of(run)
        assert list(page.words) == ["head", *SECTIONS], path.name
        fine = {"config.json": b'{"a": 1}', "metrics.jsonl": b""}  # odd, but nothing that could not be read
        told = path.name in page.words["head"] or fine.get(path.name) == damage
        assert told, f"{path.name} holds {damage!r} and the page does not say so"
        path.write_bytes(before)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", {"run": 5, "train": []}),
        ("config.json", {"run": {"recipe": None, "command": ["a"], "hardware": {"gpu": [1]}}}),
        ("scores.json", {"scores": [{"encoder": "pretrained", "value": 1, "low": None, "settings": 3, "chance": "?"}]}),
        ("scores.json", {"scores": [3, {"encoder": "pretrained"}]}),
        ("confusion.json", {"labels": ["a", "b"], "matrix": [[0, 0], [0, 0]]}),
        ("confusion.json", {"labels": ["a", "b"], "matrix": [[1], [0, 2]]}),
        ("neighbours.json", {"labels": 5, "paths": 5}),
        ("draws.json", [{"spans": [{"times": ["x"]}]}, {"file": 3, "spans": []}, {"spans": [{"sound": 3}]}, 3]),
        ("draws.json", [{"file": "draws/000.npz", "paths": [], "spans": [{"times": [1, 1], "sound_file": 2}] * 2}]),
    ],
)
def test_odd_content_does_not_stop_the_page(small: Path, tmp_path: Path, name: str, content: object) -> None:
    run = shutil.copytree(small, tmp_path / "run")
    (run / name).write_text(json.dumps(content))
    assert list(page_of(run).words) == ["head", *SECTIONS]


def test_damaged_lines_are_counted_and_the_rest_is_kept(tmp_path: Path) -> None:
    write_metrics(tmp_path, steps=50)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('\n[]\n{"kind": "step"}\n\n{"kind": "step", "step": 51, "loss": NaN}\n')
    found = read_run(tmp_path)
    assert found.metrics.damaged == 3
    assert len(found.metrics.steps) == 51
    assert "3 lines are damaged" in page_of(tmp_path).words["head"]
    assert "not finite in 1 steps" in page_of(tmp_path).words["head"]


def test_a_resumed_run_counts_each_step_once_and_every_second(tmp_path: Path) -> None:
    rows = [(0, 1.0, 9.0), (1, 2.0, 8.0), (2, 3.0, 7.0), (1, 0.5, 5.0), (2, 1.5, 4.0)]
    lines = [json.dumps({"kind": "step", "step": s, "seconds": t, "loss": x}) for s, t, x in rows]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    steps, losses = read_run(tmp_path).metrics.curve("loss")
    assert steps.tolist() == [0, 1, 2]
    assert losses.tolist() == [9, 5, 4]
    assert read_run(tmp_path).metrics.seconds == 2.5  # the clock was started anew after 1 s


def test_what_a_file_says_cannot_become_part_of_the_page(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    write_config(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["run"] |= {"recipe": evil, "command": evil, "hardware": evil, evil: evil}
    (tmp_path / "config.json").write_text(json.dumps(config | {evil: {evil: evil}}))
    write_draws(tmp_path)
    draws = json.loads((tmp_path / "draws.json").read_text())
    for draw in draws:
        draw |= {"path": f"/{evil}.mp4", "labels": {evil: evil}, "parameters": {evil: evil}}
    (tmp_path / "draws.json").write_text(json.dumps(draws))
    lines = [
        {"kind": "step", "step": 0, "loss": 1.0, evil: 2.0},
        {"kind": "probe", "step": 0, "name": evil, "value": 0.5},
        {"kind": "event", "step": 0, "what": evil, "path": evil, "why": evil},
        {"kind": "event", "step": 0, "what": evil},
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    one = score(evil, 0.5, protocol=evil, metric=evil, label=evil, interval=evil, settings={evil: evil})
    (tmp_path / "scores.json").write_text(json.dumps({"command": evil, "scores": [one]}))
    (tmp_path / "confusion.json").write_text(
        json.dumps({"labels": [evil, "b"], "matrix": [[1, 2], [3, 4]], evil: evil})
    )
    np.savez(tmp_path / "neighbours.npz", strips=np.zeros((1, 2, 1, 8, 8, 3), np.uint8))
    (tmp_path / "neighbours.json").write_text(json.dumps({"labels": [[evil, evil]], "paths": [[evil, evil]]}))
    page = page_of(tmp_path)
    assert page.all("script") == []
    assert not any("onerror" in a for _, a in page.elements)
    for section in SECTIONS:
        assert "alert(1)" in page.words[section] or section == "speed"


def test_the_same_run_gives_the_same_page(small: Path) -> None:
    assert write_report(small).read_bytes() == write_report(small).read_bytes()


@pytest.fixture
def long_run(tmp_path: Path) -> Path:
    lines = (json.dumps({"kind": "step", "step": i, "loss": 1 / (i + 1)}) for i in range(20_000))
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_a_long_run_makes_no_long_page(long_run: Path) -> None:
    assert write_report(long_run).stat().st_size < 100_000
