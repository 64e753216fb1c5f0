# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a configuration file: the classic form, or the same keys as YAML where PyYAML is installed."""

from __future__ import annotations

import re
from typing import Any, Dict, Tuple

from ..errors import Refused, UsageError
from ..plan import dollytab

_MAX_CHARACTERS = 16 * 1024 * 1024
_YAML = re.compile(r"---|\{|[A-Za-z0-9_]+:(\s|$)")


def read(path: str) -> dollytab.Dollytab:
    """Read the file. Raises UsageError for errors in it, and Refused for YAML without PyYAML."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_MAX_CHARACTERS + 1)
    except UnicodeDecodeError as error:
        raise UsageError("-f", path, "a text file in UTF-8 (%s)" % error) from error
    except OSError as error:
        raise UsageError("-f", path, "a file that can be read (%s)" % error.strerror) from error
    if len(text) > _MAX_CHARACTERS:
        raise UsageError("-f", path, "a file of at most %d characters" % _MAX_CHARACTERS)
    if not _is_yaml(text):
        return dollytab.parse(text, path)
    data, lines = _load_yaml(text, path)
    return dollytab.from_dict(data, path, lines)


def _is_yaml(text: str) -> bool:
    """Decide by the first significant line: no keyword of the classic form is followed by a colon."""
    for line in text.split("\n"):
        if line.strip() and not line.lstrip().startswith("#"):
            return _YAML.match(line) is not None
    return False


def _load_yaml(text: str, path: str) -> Tuple[Any, Dict[str, int]]:
    try:
        import yaml
    except ImportError as error:
        raise Refused(
            path, "it is YAML, and there is no PyYAML here to read it", "the same in the classic form, infile FILE ..."
        ) from error
    lines: Dict[str, int] = {}
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        for key, _value in root.value if isinstance(root, yaml.MappingNode) else ():
            line = key.start_mark.line + 1
            if key.value in lines:
                expected = "%s only once: it is on line %d already" % (key.value, lines[key.value])
                raise UsageError("%s line %d" % (path, line), key.value, expected)
            lines[key.value] = line
        return yaml.safe_load(text), lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "%s line %d" % (path, mark.line + 1) if mark is not None else path
        raise UsageError(where, getattr(error, "problem", None) or "broken", "YAML") from error
