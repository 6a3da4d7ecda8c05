"""Items × sampler × transform → batches."""

from avssl.data.choice import Data, moving_camera, one_thing, one_way, two_cameras
from avssl.data.clips import Clips, Reading
from avssl.data.collate import by_shape, collate
from avssl.data.items import Catalogue, Entry, Item, entries, write_manifest
from avssl.data.loader import Loader, batches, epoch_order
from avssl.data.processes import ReaderDied
from avssl.data.readers import Readers
from avssl.data.scan import Damaged, announce, catalogue
from avssl.data.view import EitherView, View

__all__ = [
    "Catalogue",
    "Clips",
    "Damaged",
    "Data",
    "EitherView",
    "Entry",
    "Item",
    "Loader",
    "ReaderDied",
    "Readers",
    "Reading",
    "View",
    "announce",
    "batches",
    "by_shape",
    "catalogue",
    "collate",
    "entries",
    "epoch_order",
    "moving_camera",
    "one_thing",
    "one_way",
    "two_cameras",
    "write_manifest",
]
