# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kind of machine the figures are from; nothing that names it."""

from __future__ import annotations

import os
import platform
import subprocess
from typing import Dict, Union

Facts = Dict[str, Union[str, int]]


def facts(network: str, disk_folder: str, pages: str) -> Facts:
    """Cores, memory, kernel, Python, network and file system."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "network": network,
        "pages": pages,
        "disk": _file_system(disk_folder),
        "load_before": "%.1f" % os.getloadavg()[0],
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def _file_system(folder: str) -> str:
    command = ["stat", "--file-system", "--format", "%T", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.strip() or "unknown"
