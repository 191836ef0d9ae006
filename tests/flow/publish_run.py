"""Publishes two releases by turns until it is killed: `python publish_run.py FOLDER`."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from tesela.sciencedb.shelf import Shelf

if __name__ == "__main__":
    shelf = Shelf(Path(sys.argv[1]))
    for name in itertools.cycle(("dr1", "dr2")):
        shelf.publish(name)
