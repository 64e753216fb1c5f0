# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs that the data of a sparse image lie in many extents: python -m tests.bench.fragments [EXTENTS...]

Three images of the same size are cloned in turns: with many extents, the same bytes as one extent without a hole,
and as much data in one extent before one hole. What counts are the ratios of their times, in one run on one machine.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List

from .contenders import ROOT

#: Bytes of an extent, and of the hole behind it.
EXTENT = HOLE = 4096
ROUNDS = 3
NODES = 2
LAYOUTS = ("many", "full", "one")
_LIMIT_S = 900


def make_image(path: Path, extents: int, layout: str) -> Path:
    """An image of EXTENT + HOLE bytes for each extent."""
    block = random.Random(extents).randbytes(EXTENT * 256)
    with path.open("wb") as file:
        if layout == "full":
            file.write(bytes(1 << 20) * (extents * (EXTENT + HOLE) >> 20))
        file.truncate(extents * (EXTENT + HOLE))
        for number in range(extents):
            file.seek(number * (EXTENT if layout == "one" else EXTENT + HOLE))
            start = number % 256 * EXTENT
            file.write(block[start : start + EXTENT])
    return path


def clone(engine: Path, image: Path, folder: Path) -> float:
    """Seconds that a run takes."""
    key = folder / "key"
    key.write_text("0123456789abcdef" * 4)
    key.chmod(0o600)
    base = [sys.executable, "-S", str(engine), "--key-file", str(key), "--port", "9899"]
    addresses = ["127.9.9.%d" % (number + 2) for number in range(NODES)]
    clients = []
    for address in addresses:
        place = folder / address
        place.mkdir(exist_ok=True)
        command = [*base, "--bind", address, "--state-dir", str(folder / "state")]
        clients.append(subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    try:
        time.sleep(1.0)
        command = [*base, "-S", "127.9.9.1", "-H", ",".join(addresses), "-I", str(image), "-O", "out.img", "--json"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_LIMIT_S)
        result = json.loads(done.stdout)
        if result["state"] != "done":
            raise RuntimeError(done.stdout + done.stderr)
        for client in clients:
            client.wait(30)
    finally:
        for client in clients:
            client.kill()
            client.wait()
    for address in addresses:
        subprocess.run(["cmp", str(image), str(folder / address / "out.img")], check=True)
        (folder / address / "out.img").unlink()
    return float(result["seconds"])


def main(arguments: List[str]) -> int:
    """Print one line for each number of extents."""
    folder = Path(tempfile.mkdtemp(prefix="dolly-fragments-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    try:
        engine = folder / "dolly.pyz"
        subprocess.run([sys.executable, str(ROOT / "tools" / "make_pyz.py"), str(engine)], check=True)
        for extents in [int(one) for one in arguments] or [8192, 200000]:
            seconds: Dict[str, List[float]] = {layout: [] for layout in LAYOUTS}
            for _unused in range(ROUNDS):
                for layout in LAYOUTS:
                    image = make_image(folder / "image", extents, layout)
                    seconds[layout].append(clone(engine, image, folder))
                    image.unlink()
            many, full, one = (statistics.median(seconds[layout]) for layout in LAYOUTS)
            print(
                "%d extents: %.2f s; the same bytes in one: %.2f s, ratio %.2f; the same data: %.2f s, ratio %.2f"
                % (extents, many, full, many / full, one, many / one),
                flush=True,
            )
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
