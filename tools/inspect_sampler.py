"""See what a recipe's sampler and transforms draw, before a night is spent on training.

python tools/inspect_sampler.py recipes/pace.py --out sheet.png --data.root ~/ucf101
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from avssl.report import write_contact_sheet


@dataclass(frozen=True, kw_only=True)
class InspectSampler:
    """Write the contact sheet of a recipe; every further argument is handed to the recipe."""

    recipe: tyro.conf.Positional[Path]
    """The recipe's script."""
    out: Path = Path("sheet.png")
    """The PNG file to write."""
    examples: int = 8
    """How many examples to draw, 8 at most."""


def main(choice: InspectSampler, arguments: list[str]) -> None:
    if not choice.recipe.is_file():
        sys.exit(f"{choice.recipe}: no such recipe; give a script such as recipes/pace.py")
    with tempfile.TemporaryDirectory(prefix="avssl-draws-") as folder:
        run = Path(folder) / "run"
        # the recipe draws its first examples before it trains, so no epochs are needed
        wanted = ["--train.epochs", "0", "--train.out", str(run)]
        command = [sys.executable, str(choice.recipe), *arguments, *wanted]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)  # of a folder that is not kept
        if done.returncode:
            sys.exit(f"{choice.recipe} ended with status {done.returncode}; what it says above is why")
        try:
            print(write_contact_sheet(run, choice.out, examples=choice.examples))
        except FileNotFoundError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main(*tyro.cli(InspectSampler, return_unknown_args=True))
