"""Copy what the browser gets from others into `static/vendor/`, and say exactly what it is.

`package.json` and its lock name exact versions; `npm ci --ignore-scripts` brings them; this script copies
the few files named below into `static/vendor/<name>-<version>/`, draws one SVG sprite of the lucide icons
that templates and marks use, and writes names, versions, licences and sha256 sums to
`static/vendor/manifest.json`. The outputs are committed, so that running the product needs no node.

    uv run scripts/vendor.py           copy anew (runs npm ci when node_modules is not there)
    uv run scripts/vendor.py --check   change nothing; exit 1 and name what differs: from the packages where
                                       node_modules is there, else from the manifest and the lock
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "node_modules"
VENDOR = ROOT / "static" / "vendor"
SPRITE = "sprite.svg"

# npm package → (name here, licence file, {file in the package: file here})
PACKAGES: dict[str, tuple[str, str, dict[str, str]]] = {
    "htmx.org": ("htmx", "LICENSE", {"dist/htmx.min.js": "htmx.min.js"}),
    "idiomorph": ("idiomorph", "LICENSE", {"dist/idiomorph-ext.min.js": "idiomorph-ext.min.js"}),
    "inter-ui": (
        "inter",
        "LICENSE.txt",
        {
            "variable-latin/InterVariable-subset.woff2": "inter-latin.woff2",
            "variable/InterVariable.woff2": "inter.woff2",
        },
    ),
    "@fontsource-variable/jetbrains-mono": (
        "jetbrains-mono",
        "LICENSE",
        {"files/jetbrains-mono-latin-wght-normal.woff2": "jetbrains-mono-latin.woff2"},
    ),
    "lucide-static": ("lucide", "LICENSE", {}),
}
IN_TEMPLATES = re.compile(r"""\bicon(?:\s+|=)["']([a-z0-9-]+)["']""")
IN_MARKS = re.compile(r"""\b(?:icon=|Mark\()["']([a-z0-9-]+)["']""")


def icons_used() -> list[str]:
    """Every icon named in a template or in a mark, sorted."""
    names: set[str] = set()
    for page in (ROOT / "templates").rglob("*.html"):
        names.update(IN_TEMPLATES.findall(page.read_text()))
    for module in (ROOT / "dashboard").rglob("*.py"):
        names.update(IN_MARKS.findall(module.read_text()))
    return sorted(names)


def symbol(name: str, svg: str) -> str:
    drawing = re.sub(r"<!--.*?-->", "", svg, flags=re.S)
    inner = re.search(r"<svg[^>]*>(.*)</svg>", drawing, flags=re.S)
    if inner is None:
        raise SystemExit(f"lucide-static has no drawing in {name}.svg")
    paths = re.sub(r"\s+", " ", inner.group(1)).strip()
    return f'<symbol id="{name}" viewBox="0 0 24 24">{paths}</symbol>'


def sprite(package: Path) -> bytes:
    symbols = []
    for name in icons_used():
        drawing = package / "icons" / f"{name}.svg"
        if not drawing.exists():
            raise SystemExit(f"lucide has no icon {name}: look at lucide.dev for the name that it has now")
        symbols.append(symbol(name, drawing.read_text()))
    return ('<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n").encode()


def wanted() -> dict[str, bytes]:
    """Every file of static/vendor as it should be: its path there, and its bytes."""
    files: dict[str, bytes] = {}
    manifest = []
    for package_name, (name, licence, copies) in PACKAGES.items():
        package = MODULES / package_name
        about = json.loads((package / "package.json").read_text())
        folder = f"{name}-{about['version']}"
        mine = {here: (package / there).read_bytes() for there, here in copies.items()}
        mine["LICENSE"] = (package / licence).read_bytes()
        if name == "lucide":
            mine[SPRITE] = sprite(package)
        sums = {file: hashlib.sha256(mine[file]).hexdigest() for file in sorted(mine)}
        manifest.append(
            {
                "name": name,
                "package": package_name,
                "version": about["version"],
                "license": about["license"],
                "folder": folder,
                "sha256": sums,
            }
        )
        files.update({f"{folder}/{file}": content for file, content in mine.items()})
    files["manifest.json"] = (json.dumps(manifest, indent=2) + "\n").encode()
    return files


def present() -> dict[str, bytes]:
    return {str(f.relative_to(VENDOR)): f.read_bytes() for f in VENDOR.rglob("*") if f.is_file()}


def differences() -> list[str]:
    """What a fresh copy would change; without node_modules, what contradicts the manifest or the lock."""
    here = present()
    if MODULES.exists():
        should = wanted()
        return sorted(name for name in here.keys() | should.keys() if here.get(name) != should.get(name))
    manifest = json.loads(here.pop("manifest.json"))
    listed = {
        f"{package['folder']}/{file}": sha for package in manifest for file, sha in package["sha256"].items()
    }
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in here.items()}
    wrong = [name for name in listed.keys() | sums.keys() if listed.get(name) != sums.get(name)]
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    versions = {name: locked[f"node_modules/{name}"]["version"] for name in PACKAGES}
    told = {package["package"]: package["version"] for package in manifest}
    wrong += [
        f"version of {name}" for name in versions.keys() | told.keys() if versions.get(name) != told.get(name)
    ]
    drawn = [
        re.findall(r'<symbol id="([^"]+)"', here[name].decode()) for name in here if name.endswith(SPRITE)
    ]
    return sorted(wrong + [f"icon {name}" for name in set(*drawn) ^ set(icons_used())])


def copy() -> None:
    if not MODULES.exists():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=ROOT, check=True)
    should = wanted()
    for name in present().keys() - should.keys():
        (VENDOR / name).unlink()
    for name, content in should.items():
        (VENDOR / name).parent.mkdir(parents=True, exist_ok=True)
        (VENDOR / name).write_bytes(content)
    for folder in [f for f in VENDOR.iterdir() if f.is_dir() and not any(f.iterdir())]:
        folder.rmdir()


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        wrong = differences()
        if wrong:
            raise SystemExit("static/vendor differs (run scripts/vendor.py): " + ", ".join(wrong))
    else:
        copy()
