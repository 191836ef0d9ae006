"""A remote shell for rsync that is no shell: it runs the other end here, and cuts the line.

    cut.py BYTES COUNTER host rsync --server ...

After so many bytes from the sender the line breaks, for both ends; 0 breaks nothing. How many went
is added to the file COUNTER.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

PIECE = 65536


def main() -> None:
    """Carry bytes both ways until the other end is done, or the line breaks."""
    limit, counter, command = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[4:]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdin is not None and other.stdout is not None
    went = [0]

    def back() -> None:
        carry(other.stdout.fileno(), 1, [0])
        end(other.wait())

    def end(code: int) -> None:
        with counter.open("a") as out:
            out.write(f"{went[0]}\n")
        os._exit(code)

    threading.Thread(target=back, daemon=True).start()
    carry(0, other.stdin.fileno(), went, limit)
    other.stdin.close()
    if limit and went[0] >= limit:
        end(255)
    threading.Event().wait()


def carry(source: int, target: int, went: list[int], limit: int = 0) -> None:
    """Copy until the source ends, the target is gone, or so many bytes went, which are counted."""
    while not limit or went[0] < limit:
        try:
            piece = os.read(source, min(PIECE, limit - went[0]) if limit else PIECE)
            if not piece:
                return
            while piece:
                done = os.write(target, piece)
                went[0] += done
                piece = piece[done:]
        except OSError:
            return


if __name__ == "__main__":
    main()
