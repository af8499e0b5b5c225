"""Folders of pictures and texts that nobody should be given, and damage: see ``hostile_files``."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

from PIL import Image

NAMES = ("data", "my data", 'it\'s "mine"', "dätä", "a\nb", "x" * 60, "50%", "$(id)", "-rf")
WORDS = ("a", "B.", "é\0", "", "nan", "x" * 3000, "\ufeff", "\r", "\u2028", "[UNK]", "Ä,ß")
PICTURES = {
    ".png": ("PNG", ("P", "1", "RGBA", "LA", "I;16")),
    ".jpg": ("JPEG", ("CMYK",)),
    ".bmp": ("BMP", ("P", "1")),
    ".webp": ("WEBP", ("RGBA",)),
    ".tif": ("TIFF", ("P", "1", "RGBA", "LA", "I;16", "I", "F", "CMYK")),
    ".gif": ("GIF", ("P", "RGBA")),
}
"""Ending of a picture -> its format, and the odd modes that it can be saved in."""


def damage(content: bytes, random: Random) -> bytes:
    """Returns the bytes after up to eight changes; sometimes none."""
    for _ in range(random.choice([0, 0, 1, 1, 2, 8])):
        place, length = random.randrange(len(content) + 1), random.choice([1, 4, 30, 400])
        head, cut, tail = (
            content[:place],
            content[place : place + length],
            content[place + length :],
        )
        content = random.choice(
            [
                head + random.randbytes(len(cut)) + tail,
                head + tail,
                head,
                head + cut * random.choice([2, 20]) + tail,
                head + bytes(len(cut)) + tail,
                head + b"\xff" * len(cut) + tail,
            ]
        )
    return content


def pictures(random: Random, folder: Path) -> Path:
    """A folder of pictures with odd ones among them."""
    root = folder / random.choice(NAMES)
    homes = [root / "train", root / "test"] if random.random() < 0.3 else [root]
    for home in homes:
        for label in random.choice(
            [("cat", "dog"), ("cat", "dog"), ("0", "10", "9"), ("one",), ("a\nb", "ü")]
        ):
            for number in range(random.choice([3, 6, 6])):
                path = home / label / f"{number}{random.choice(['.png', '.png', *PICTURES])}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(_picture(random, path.suffix))
    victim = random.choice([p for p in root.rglob("*") if p.is_file()])
    attack: Callable[[], object] = random.choice(
        [
            lambda: victim.write_bytes(damage(victim.read_bytes(), random)),
            lambda: victim.write_bytes(damage(victim.read_bytes(), random)),
            lambda: victim.write_bytes(damage(victim.read_bytes(), random)),
            lambda: victim.write_bytes(b""),
            lambda: victim.write_bytes(_picture(random, victim.suffix, side=9)),
            lambda: (victim.unlink(), victim.symlink_to(random.choice(["/etc/hostname", victim]))),
            lambda: (victim.unlink(), victim.mkdir()),
            lambda: (victim.parent / "notes.txt").write_text("x"),
            lambda: (root / "loose.png").write_bytes(victim.read_bytes()),
            lambda: (root / "empty").mkdir(),
            lambda: victim.write_bytes(_huge_png()),
        ]
    )
    if random.random() < 0.8:
        attack()
    return root


def texts(random: Random, folder: Path) -> Path:
    """A folder of texts with odd ones among them."""
    root = folder / random.choice(NAMES)
    homes = [root / "train", root / "val"] if random.random() < 0.3 else [root]
    for home in homes:
        for label in random.choice([("cat", "dog"), ("0", "10", "9"), ("one",), ("a\nb", "ü")]):
            for number in range(random.choice([3, 6, 6])):
                path = home / label / f"{number}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                words = random.choices(WORDS, k=random.randrange(9))
                path.write_bytes(" ".join(words).encode())
    victim = random.choice([p for p in root.rglob("*") if p.is_file()])
    attack: Callable[[], object] = random.choice(
        [
            lambda: victim.write_bytes(damage(victim.read_bytes(), random)),
            lambda: victim.write_bytes(random.randbytes(40)),
            lambda: victim.write_bytes("utf 16".encode("utf-16")),
            lambda: victim.write_bytes(b"\xff\xfe\xff"),
            lambda: (victim.unlink(), victim.symlink_to(random.choice(["/etc/hostname", victim]))),
            lambda: (victim.unlink(), victim.mkdir()),
            lambda: (victim.parent / "x.png").write_bytes(_picture(random, ".png")),
        ]
    )
    if random.random() < 0.6:
        attack()
    return root


def _picture(random: Random, suffix: str, side: int = 8) -> bytes:
    form, modes = PICTURES[suffix]
    mode = random.choice(["L"] * 20 + ["RGB"] * 20 + list(modes))
    if form == "WEBP" and mode == "L":
        mode = "RGB"
    options = {}
    if random.random() < 0.2 and form != "BMP":
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = random.choice([*range(10), 60_000])
    size = (side, side) if random.random() < 0.9 else (side, side + 3)
    buffer = io.BytesIO()
    Image.new(mode, size, random.choice([0, 1])).save(buffer, form, **options)
    return buffer.getvalue()


def _huge_png() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "PNG")
    content = bytearray(buffer.getvalue())
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    return bytes(content)
