"""`python .github/release_notes.py v1.2.3 [FILE]`: what CHANGELOG.md says of that version, printed or written to FILE.

Only the standard library, and no installation of the package: a tag is checked before anything is built.
"""

import re
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?: – (?P<date>.*))?$", re.M)


def notes(changelog: str, version: str) -> str:
    """The section of a version in Markdown, without its heading, a line a paragraph or point.

    Raises:
        ValueError: there is no such section, it has no date yet, or it is empty.
    """
    headings = list(HEADING.finditer(changelog))
    found = [n for n, heading in enumerate(headings) if heading["version"] == version]
    if not found:
        known = ", ".join(heading["version"] for heading in headings)
        raise ValueError(f"CHANGELOG.md has no section [{version}], it has {known}.")
    heading, rest = headings[found[0]], headings[found[0] + 1 :]
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", heading["date"] or ""):
        raise ValueError(
            f"CHANGELOG.md, [{version}]: got {heading['date'] or 'no date'!r}, expected a date: "
            "write ## [1.2.3] – 2026-12-31."
        )
    text = changelog[heading.end() : rest[0].start() if rest else len(changelog)].strip()
    if not text:
        raise ValueError(f"CHANGELOG.md says nothing of [{version}].")
    return (
        re.sub(r"(?<=\S)\n +(?=\S)", " ", text) + "\n"
    )  # GitHub breaks lines where they are broken


def main(tag: str, file: str | None = None) -> None:
    """The notes of a tag, which has to be of the version that is about to be built."""
    own = runpy.run_path(str(ROOT / "geodesic_lightning" / "version.py"))["__version__"]
    if tag != f"v{own}":
        raise ValueError(f"got the tag {tag}, expected v{own}: geodesic_lightning/version.py.")
    text = notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), own)
    if file is None:
        print(text, end="")
    else:
        Path(file).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("Usage: python .github/release_notes.py v<version> [<file>]")
    try:
        main(*sys.argv[1:])
    except ValueError as error:
        sys.exit(f"Error: {error}")
