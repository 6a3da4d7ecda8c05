"""The bank: entries by item number and modality, their running means, and who is compared with whom."""

from __future__ import annotations

import math

import pytest
import torch
from test_tasks_contrast import records, simclr, views
from torch import Tensor
from torch.nn import functional as F

from avssl.core import Example
from avssl.encoders import Projector, sound_vgg, tiny_resnet
from avssl.losses import InfoNCE
from avssl.tasks import Bank, BankMemory, Contrast, Records, cross_modal, instances


def about(items: list[int], modality: int = 0) -> Records:
    return records(items, [0] * len(items), [modality] * len(items), [0] * len(items))


def unit(*values: float) -> Tensor:
    return F.normalize(torch.tensor([values], dtype=torch.float32), dim=1)


def test_entries_are_running_means_of_unit_length_by_number_and_modality() -> None:
    memory = BankMemory(Bank(5, 2, momentum=0.75), (0, 1))
    memory.push(torch.cat((unit(1, 0), unit(0, 1))), about([3, 1]))
    found = memory.entries(torch.tensor([1, 2, 3]))
    assert found.about.example.tolist() == [1, 2, 3, 1, 2, 3]
    assert found.about.modality.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.others.tolist() == [True, False, True, False, False, False]
    torch.testing.assert_close(found.embeddings[[0, 2]], torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    memory.push(torch.cat((unit(0, 1), unit(3, 4))), about([3, 2]))
    memory.push(unit(0, -1), about([3], modality=1))
    torch.testing.assert_close(memory.entries(torch.tensor([3])).embeddings, torch.cat((unit(0.75, 0.25), unit(0, -1))))
    # the mean of several of one item counts as one visit
    memory.push(torch.cat((unit(1, 0), unit(0, 1), unit(1, 0))), about([2, 2, 4]))
    wanted = F.normalize(0.75 * unit(3, 4) + 0.25 * unit(1, 1))
    torch.testing.assert_close(memory.entries(torch.tensor([2])).embeddings[:1], wanted)
    assert memory.filled.view(2, 5).tolist() == [[False, True, True, True, True], [False] * 3 + [True, False]]


def npid(batch: Example, task: Contrast, temperature: float) -> Tensor:
    """Independent rendering: −log of the share of the own entry in the softmax over all entries."""
    z = F.normalize(task.online.projectors["video"](task.encoders()["video"](batch.clips[0].video)))
    return F.cross_entropy(z @ task.memory.embeddings.T / temperature, batch.index)


def test_with_all_items_the_loss_is_the_softmax_over_the_bank() -> None:
    task = simclr(negatives=Bank(8, 16, momentum=0.5, negatives=None), criterion=InfoNCE(0.1))
    for first in (0, 4):
        found = task(views(4, 1, first=first, seed=first))
        assert float(found["loss"].detach()) == 0  # nothing is known of the items yet
    batch = views(4, 1, first=2, seed=7)
    wanted = npid(batch, task, 0.1)
    torch.testing.assert_close(task(batch)["loss"], wanted)
    assert float(wanted.detach()) > 0


def test_loss_at_chance_is_the_logarithm_of_the_candidates() -> None:
    task = simclr(negatives=Bank(4096, 16, negatives=None), criterion=InfoNCE(1e6))
    task.memory.filled.fill_(True)
    assert float(task(views(4, 1))["loss"].detach()) == pytest.approx(math.log(4096), abs=1e-3)
    task = simclr(negatives=Bank(4096, 16, negatives=64), criterion=InfoNCE(1e6))
    task.memory.filled.fill_(True)
    assert float(task(views(4, 1))["loss"].detach()) == pytest.approx(math.log(65), abs=0.02)


def test_drawn_items_are_negatives_of_others_and_only_the_own_entry_attracts() -> None:
    memory = BankMemory(Bank(6, 2, negatives=50), (0,))
    memory.push(torch.cat([unit(1, k) for k in range(4)]), about([0, 1, 2, 3]))
    torch.manual_seed(0)
    batch = about([1, 2, 5, 9])
    found = memory.candidates(torch.zeros(4, 2), batch)
    same = batch.example[:, None] == found.about.example
    policy = instances(batch, found.about).masked_fill(~torch.where(same, found.own, found.others), 0)
    assert (policy > 0).sum(dim=1).tolist() == [1, 1, 0, 0]  # 5 was never visited, and 9 is no item of the bank
    drawn = torch.bincount(found.about.example[4:], minlength=6)
    assert drawn.min() > 0
    for row, item in enumerate((1, 2)):
        assert int((policy[row] < 0).sum()) == int(drawn[:4].sum() - drawn[item])


def test_a_bank_of_both_modalities_contrasts_across_them_and_learns_in_training_only() -> None:
    sound = sound_vgg(width=8)
    task = Contrast(tiny_resnet(width=8), Projector(64, 16), sound=sound, sound_projector=Projector(64, 16),
                    policy=cross_modal, negatives=Bank(8, 16, negatives=None))  # fmt: skip
    for _ in range(2):
        found = task(views(4, 1, sound=True))
    found["loss"].backward()
    assert float(found["loss"].detach()) > 0
    assert task.memory.filled.view(2, 8).sum(dim=1).tolist() == [4, 4]
    before = {name: value.clone() for name, value in task.memory.state_dict().items()}
    task.eval()
    task(views(4, 1, sound=True, seed=3))
    task(views(4, 1, sound=True, first=100))  # held-out items, which the bank does not know
    assert all(torch.equal(before[name], value) for name, value in task.memory.state_dict().items())


def test_errors_name_the_value() -> None:
    memory = BankMemory(Bank(4, 2), (0,))
    with pytest.raises(ValueError, match="size 3"):
        memory.push(torch.zeros(1, 3), about([1]))
    with pytest.raises(ValueError, match=r"item 4: the bank has items=4"):
        memory.push(torch.zeros(1, 2), about([4]))
    with pytest.raises(ValueError, match=r"momentum 1\.0"):
        Bank(4, momentum=1.0)
    with pytest.raises(ValueError, match="items 0"):
        Bank(0)
