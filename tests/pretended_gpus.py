"""Pretends that a machine has NVIDIA GPUs: an ``nvidia-smi`` of our own stands first in PATH."""

import os
import shlex
from pathlib import Path

A100, T4 = "NVIDIA A100-SXM4-40GB", "Tesla T4"
UUIDS = tuple(f"GPU-{digit * 8}-0000-4000-8000-000000000000" for digit in "abcd")
INSTANCES = tuple(f"MIG-{digit * 8}-0000-5000-8000-000000000000" for digit in "12")

SCRIPT = """#!/bin/sh
# Answers -L, --query-gpu=memory.free and -q -x from the files beside it; notes what was asked.
PATH=/usr/bin:/bin
here={folder}
echo "$*" >> "$here/asked"
id=$(printf '%s\\n' "$@" | sed -n 's/^--id=//p')
case "$1" in
  -L) cat "$here/list" ;;
  -q) cat "$here/$id.xml" ;;
  *) if [ -n "$id" ]; then cat "$here/$id.free"; else cat "$here"/*.free; fi ;;
esac
"""

XML = """<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log><gpu id="00000000:55:00.0"><mig_devices>{instances}</mig_devices></gpu>
</nvidia_smi_log>
"""
INSTANCE = """<mig_device><index>{index}</index>
<fb_memory_usage><total>20096 MiB</total><free>{free} MiB</free></fb_memory_usage></mig_device>"""


def pretend(monkeypatch, folder, *models, free=(), instances=0):
    """Has this machine have GPUs of these models.

    Args:
        monkeypatch: Puts the tool first in PATH and removes what the user's environment says.
        folder: An empty one for the tool.
        models: The GPUs, in their order.
        free: MiB of each, 1024 where it is left out.
        instances: MIG instances of the first GPU.

    Returns:
        The file with a line for each time the tool was asked.
    """
    lines = []
    for index, model in enumerate(models):
        lines.append(f"GPU {index}: {model} (UUID: {UUIDS[index]})")
        amount = free[index] if index < len(free) else 1024
        (folder / f"{UUIDS[index]}.free").write_text(f"{amount}\n")
        if index == 0:
            lines += [
                f"  MIG 3g.20gb     Device  {number}: (UUID: {INSTANCES[number]})"
                for number in range(instances)
            ]
    written = [INSTANCE.format(index=n, free=1000 * (n + 1)) for n in range(instances)]
    (folder / "0.xml").write_text(XML.format(instances="".join(written)))
    (folder / "list").write_text("".join(f"{line}\n" for line in lines))
    tool = folder / "nvidia-smi"
    tool.write_text(SCRIPT.format(folder=shlex.quote(str(folder))))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    return Path(folder, "asked")
