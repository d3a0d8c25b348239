"""The workspace W2: 1,000 files of 50 MB, of which 5 change a step; the same bytes in every run."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

SEED = 20261122
FILES, BYTES = 1_000, 50_000_000
_BINARY = (".bin", ".png")


def _vocabulary(rng: random.Random, size: int = 4_000) -> list[str]:
    consonants = [*"bcdfghjklmnprstvw", *("st", "tr", "ch", "pl", "gr", "sh", "th")]
    vowels = [*"aeiou", "ea", "ou", "io"]
    ends = ["", *"nsr", "ed", "ing", "t", "ly", "tion", "er"]
    words: dict[str, None] = {}
    while len(words) < size:
        syllables = rng.choice((1, 1, 2, 2, 3))
        word = "".join(rng.choice(consonants) + rng.choice(vowels) for _ in range(syllables))
        words[word + rng.choice(ends)] = None
    return list(words)


class Text:
    """Words as often as in English, so that they compress like it."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.vocabulary = _vocabulary(random.Random(SEED + 1))
        self.weights: list[float] = []
        total = 0.0
        for rank in range(len(self.vocabulary)):
            total += 1.0 / (rank + 3) ** 0.95
            self.weights.append(total)

    def words(self, count: int) -> list[str]:
        return self.rng.choices(self.vocabulary, cum_weights=self.weights, k=count)

    def sentence(self) -> str:
        words = self.words(self.rng.randint(5, 16))
        return words[0].capitalize() + " " + " ".join(words[1:]) + self.rng.choice([".", ".", ".", "?", ","])

    def text(self, size: int) -> str:
        parts, total = [], 0
        while total < size:
            parts.append(self.sentence())
            total += len(parts[-1]) + 1
        return " ".join(parts)[:size]

    def hex(self, digits: int = 24) -> str:
        return f"{self.rng.getrandbits(4 * digits):0{digits}x}"


def paths() -> list[str]:
    rng = random.Random(SEED + 20)
    kinds = ["py", "py", "py", "md", "json", "txt", "csv", "bin", "bin", "png"]
    return [
        f"src/{'abcdefghij'[n % 10]}/pkg{n // 10 % 25:02}/f{n:04}.{rng.choice(kinds)}" for n in range(FILES)
    ]


def _body(text: Text, path: str, size: int) -> bytes:
    if path.endswith(_BINARY):
        half = size // 2  # half incompressible, half records
        records = (
            (n * 37).to_bytes(4, "little") + text.rng.randbytes(4) + bytes(8) for n in range(half // 16 + 1)
        )
        tail = b"".join(records)[:half]
        return text.rng.randbytes(size - half) + tail
    if path.endswith(".json"):
        rows = [
            {"id": text.hex(12), "name": " ".join(text.words(3)), "n": text.rng.randint(0, 10**6)}
            for _ in range(-(-size // 80))
        ]
        return json.dumps(rows, indent=1).encode()[: max(size, 2)]
    lines, total = [], 0
    while total < size:
        lines.append(" " * (4 * text.rng.randint(0, 4)) + " ".join(text.words(text.rng.randint(3, 12))))
        total += len(lines[-1]) + 1
    return "\n".join(lines)[:size].encode()


def make(root: Path) -> None:
    text, names = Text(SEED + 21), paths()
    raw = [math.exp(text.rng.gauss(0, 1.3)) for _ in names]
    scale = BYTES / sum(raw)
    for name, size in zip(names, raw, strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(_body(text, name, max(64, int(size * scale))))


def mutate(root: Path, step: int) -> None:
    """Three edits of text in the middle, one append, 4 KiB of a binary overwritten; a function of `step`."""
    text, names = Text(SEED + 1000 + step), paths()
    texts = [name for name in names if not name.endswith(_BINARY)]
    edited = text.rng.sample(texts, 3)
    for name in edited:
        data = (root / name).read_bytes()
        middle = len(data) // 2
        edit = f"\n{text.text(200)}\n".encode()
        (root / name).write_bytes(data[:middle] + edit + data[middle + 60 :])
    with open(root / text.rng.choice([name for name in texts if name not in edited]), "ab") as log:
        log.write(f"\n{text.text(500)}".encode())
    binary = root / text.rng.choice([name for name in names if name.endswith(_BINARY)])
    size = binary.stat().st_size
    with open(binary, "r+b") as file:
        file.seek(size // 3)
        file.write(text.rng.randbytes(min(4096, max(1, size - size // 3))))
