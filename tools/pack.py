"""Pack media once, so that every epoch after that reads them several times as fast.

    python tools/pack.py --source ~/ucf101 --out ~/ucf101-128
    python tools/pack.py --source kinetics.csv --out packed --codec h264-fastdecode --sound aac
    python recipes/moco.py --data.root ~/ucf101-128

The shards are tar files that `webdataset` reads, too; beside them lie `manifest.csv`, checksums (`sha256sum -c
sha256sums.txt`), and a report of size, likeness and speed. A pack that was stopped goes on when the command is given
again.
"""

import sys

import tyro
from rich.console import Console

from avssl.core import MediaError
from avssl.packing import Pack, pack, report_table


def main(choice: Pack) -> None:
    try:
        report = pack(choice)
    except MediaError as e:  # it says what is wrong and what to do: a traceback would only hide it
        sys.exit(str(e))
    except KeyboardInterrupt:
        Console(stderr=True).print("Stopped. The same command goes on.", markup=False)
        sys.exit(130)
    Console().print(report_table(report))


if __name__ == "__main__":
    main(tyro.cli(Pack, description=__doc__))
