"""`python docs/marks README.md docs/*.md` makes the marked tables and pictures of these pages anew;
`python docs/marks --card STORE` keeps the feature card of the README's picture."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])

from marks import first, kinds  # noqa: E402

if sys.argv[1] == "--card":
    print(first.keep(sys.argv[2]))
else:
    kinds.main(sys.argv[1:])
