"""Compiled kernels older than the code are dropped, newer ones kept."""

import os
import subprocess
import sys

from tesela.pixels import kernelcache


def package(folder, ages):
    (folder / "__pycache__").mkdir()
    for name, age in ages.items():
        path = folder / name
        path.write_text("")
        os.utime(path, (1_000_000 - age, 1_000_000 - age))


def test_what_is_older_than_any_source_is_dropped(tmp_path):
    package(
        tmp_path,
        {
            "caller.py": 90,
            "callee.py": 10,
            "__pycache__/caller.f-1.py311.nbi": 50,
            "__pycache__/caller.f-1.py311.1.nbc": 50,
            "__pycache__/callee.g-1.py311.nbi": 5,
            "__pycache__/caller.cpython-311.pyc": 50,
        },
    )
    assert kernelcache.drop_stale(tmp_path) == 2
    kept = sorted(path.name for path in (tmp_path / "__pycache__").iterdir())
    assert kept == ["callee.g-1.py311.nbi", "caller.cpython-311.pyc"]
    assert kernelcache.drop_stale(tmp_path) == 0


def test_a_folder_without_sources_or_with_a_dangling_link_is_no_error(tmp_path):
    assert kernelcache.drop_stale(tmp_path) == 0
    (tmp_path / ".#caller.py").symlink_to("nobody@nowhere.1")
    assert kernelcache.drop_stale(tmp_path) == 0


def test_a_changed_callee_changes_its_caller(tmp_path):
    """What numba alone would not notice."""
    (tmp_path / "kernels").mkdir()
    source = tmp_path / "kernels" / "callee.py"
    head = "from numba import njit\n"
    (tmp_path / "kernels" / "__init__.py").write_text(
        "from pathlib import Path\nfrom tesela.pixels import kernelcache\n"
        "kernelcache.drop_stale(Path(__file__).parent)\n"
    )
    (tmp_path / "kernels" / "caller.py").write_text(
        f"{head}from kernels.callee import g\n\n\n@njit(cache=True)\ndef f():\n    return g()\n"
    )
    answers = []
    for n in (1, 2):
        source.write_text(f"{head}\n\n@njit(cache=True)\ndef g():\n    return {n}\n")
        run = "from kernels.caller import f; print(f())"
        done = subprocess.run(
            [sys.executable, "-c", run], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        answers.append(done.stdout.strip())
    assert answers == ["1", "2"]
