"""Print the set-up command that README marks with `<!-- ci: NAME -->`: user or developer.

.ci/run executes what this prints, so that README and CI cannot drift apart.

    python3 .ci/readme_command.py README.md user
"""

from __future__ import annotations

import re
import sys
from pathlib import Path


def marked_command(text: str, name: str) -> str:
    """Return the one fenced bash block that follows the mark `name`, without its fences."""
    found = re.findall(rf"^<!-- ci: {name} -->\n```bash\n(.*?)\n```$", text, re.M | re.S)
    if len(found) != 1:
        raise SystemExit(f"README must mark one bash block with 'ci: {name}', has {len(found)}")
    return str(found[0])


if __name__ == "__main__":
    print(marked_command(Path(sys.argv[1]).read_text("utf-8"), sys.argv[2]))
