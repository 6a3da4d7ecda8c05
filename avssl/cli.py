"""The command line of a recipe; the only file that knows the command-line library."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import tyro
from rich.console import Console

from avssl.core import MediaError
from avssl.evaluation import Unscorable
from avssl.report import write_report
from avssl.training import Run

__all__ = ["cli", "plainly"]

Config = TypeVar("Config")


def cli(main: Callable[[Config], Run], config: type[Config], *, paper: Config) -> Run:
    """Run a recipe with what the command line says, then write its page.

    `--preset paper` starts from the paper's values instead of those for a laptop; every other flag is a field of
    `config` and goes on top.

    Raises:
        SystemExit: the command line or the media cannot be used, with the reason; or the run was stopped by hand.
    """
    arguments, preset = _preset(sys.argv[1:])
    module = sys.modules[main.__module__]
    chosen = tyro.cli(
        config,
        args=arguments,
        default=paper if preset == "paper" else config(),
        description=(module.__doc__ or "").strip() + "\n\n--preset {laptop,paper}: the values to start from.",
    )
    with plainly():
        run = main(chosen)
    if run.ranks.first:
        page = write_report(run.folder)
        Console().print(f"Page       {page}", highlight=False, markup=False, soft_wrap=True)
    run.ranks.leave()
    return run


@contextmanager
def plainly() -> Iterator[None]:
    """End the program with the reason alone where the media or their labels cannot be used, or it is stopped by hand.

    Raises:
        SystemExit: the body raised `MediaError`, `Unscorable` or `KeyboardInterrupt`.
    """
    try:
        yield
    except (MediaError, Unscorable) as e:  # they say what is wrong and what to do: a traceback would only hide it
        raise SystemExit(str(e)) from e
    except KeyboardInterrupt as e:
        Console(stderr=True).print("Stopped. A run goes on with --train.resume and its --train.out.", markup=False)
        raise SystemExit(130) from e  # as a shell has it for a program that was interrupted


def _preset(arguments: list[str]) -> tuple[list[str], str]:
    """The arguments without `--preset`, and its value."""
    for n, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name == "--preset":
            used = 1 if value else 2
            value = value or (arguments[n + 1] if n + 1 < len(arguments) else "")
            if value not in {"laptop", "paper"}:
                raise SystemExit(f"--preset {value or '(nothing)'}: the presets are laptop and paper")
            return arguments[:n] + arguments[n + used :], value
    return arguments, "laptop"
