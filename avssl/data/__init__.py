"""Items × sampler × transform → batches."""

from avssl.data.choice import Data, one_way
from avssl.data.clips import Clips, collate
from avssl.data.items import Catalogue, Entry, Item, entries
from avssl.data.loader import Loader, batches, epoch_order
from avssl.data.scan import Damaged, announce, catalogue
from avssl.data.view import View

__all__ = [
    "Catalogue",
    "Clips",
    "Damaged",
    "Data",
    "Entry",
    "Item",
    "Loader",
    "View",
    "announce",
    "batches",
    "catalogue",
    "collate",
    "entries",
    "epoch_order",
    "one_way",
]
