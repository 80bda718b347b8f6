"""`python docs/marks README.md docs/*.md` writes the marked tables and pictures of pages again."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])

from marks import kinds  # noqa: E402

kinds.main(sys.argv[1:])
