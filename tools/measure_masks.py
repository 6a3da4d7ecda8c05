"""How well a program tells what moves in a toybox, and a network that saw its masks tells it from one picture.

    python tools/measure_masks.py --run runs/moving_objects-…

Both are compared with what was drawn: the mean, over clips that are not trained on, of intersection over union. The
program's is of the clips that it would use; the network's, and that of a disc in the middle, as large as the thing, is
of all clips that show the thing.
"""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
import tyro
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F

from avssl.data import Clips, Data, View
from avssl.encoders import UpDecoder, load_encoder
from avssl.media.toybox import in_toybox, masks
from avssl.programs import MovingThings
from avssl.samplers import RandomClips
from avssl.tasks import Puzzle, by_masks
from avssl.training import task_state
from avssl.transforms import CentreCrop


@dataclass(frozen=True, kw_only=True)
class Choice(View):
    """Which clips, and which network."""

    data: Data = field(default_factory=Data)
    """A toybox."""
    split: str = "test"
    """Of its clips."""
    reach: int = 1
    """Frames before and after the one in question that the program sees."""
    run: Path | None = None
    """A run of recipes/moving_objects.py; None: only the program is measured."""


def drawn(clips: Clips, position: int, size: int, short_side: int) -> Tensor:
    """The true mask (H, W) of the middle frame of a clip, cropped as its frames are."""
    plan, (item, *_) = clips.plan(position)
    times = plan.spans[0].times
    frame = int(times[len(times) // 2] * item.info.fps)
    whole = torch.from_numpy(masks(item.path)[frame]).float()[None, None]
    scaled = F.interpolate(whole, size=(short_side, short_side), mode="area")[0, 0]
    edge = (short_side - size) // 2
    return scaled[edge : edge + size, edge : edge + size] >= 0.5


def network(run: Path, pictures: Tensor) -> Tensor:
    """The logits (B, 1, 1, H, W) of a run's network about pictures (B, 1, C, H, W)."""
    config = json.loads((run / "config.json").read_text())
    size = config["size"]
    encoder = load_encoder(run / "encoder.safetensors").eval()
    places = (size // config["shrink"],) * 2
    decoder = UpDecoder(encoder, 1, shown=(1, size, size), size=places, taps=encoder.taps).eval()
    decoder.load_state_dict(task_state(run, "decoder."))
    return torch.cat([decoder(encoder, x) for x in pictures.split(50)])


@torch.no_grad()
def main(c: Choice) -> None:
    items = c.data.catalogue().where(split=c.split).items
    if not items or not all(in_toybox(i.path) for i in items):
        sys.exit(f"{c.data.source()}, split {c.split!r}: is no toybox, and of other clips the truth is not known")
    sampler = RandomClips(frames=2 * c.reach + 1, step=c.step)
    clips = Clips.of(items, sampler, CentreCrop(c.size, short_side=c.short_side))
    video = torch.stack([x for n in range(len(clips)) if (x := clips.example(n).clips[0].video) is not None]) / 255
    truth = torch.stack([drawn(clips, n, c.size, c.short_side) for n in range(len(clips))]).float()
    found = [MovingThings()(part) for part in video.split(50)]
    program, use = (torch.cat(parts) for parts in zip(*found, strict=True))
    there = truth.flatten(1).any(dim=1).float()

    def measured(logits: Tensor, count: Tensor) -> dict[str, float]:
        target = (F.adaptive_avg_pool2d(truth[:, None], logits.shape[-2:]) >= 0.5).float()[:, :, None]
        weight = count[:, None, None, None, None].expand(target.shape)
        return {k: float(v) for k, v in by_masks(logits, Puzzle(shown=target, target=target, weight=weight)).items()}

    of_program = measured(20 * program[:, :, None] - 10, use.float())
    console = Console()
    console.print(
        f"program        IoU {of_program['iou']:.3f} of the {int(use.sum())} of {len(use)} clips it would use"
    )
    if c.run is not None:
        middle = video.shape[1] // 2
        of_network = measured(network(c.run, video[:, middle : middle + 1]), there)
        shown = f"of the {int(there.sum())} clips that show the thing"
        console.print(f"network  IoU {of_network['iou']:.3f} {shown}, from one picture")
        console.print(f"disc     IoU {of_network['centre_iou']:.3f} {shown}, in the middle")


if __name__ == "__main__":
    main(tyro.cli(Choice, description=__doc__))
