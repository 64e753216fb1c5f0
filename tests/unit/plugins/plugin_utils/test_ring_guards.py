# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.plugin_utils import ring_guards

KNOWN = ("dolly_ring_dest", "dolly_ring_verify", "dolly_ring_expect_serial")


@pytest.mark.parametrize("name", [
    *KNOWN, "dolly_ring_hosts", "dolly_ring_result", "dolly_ring__wish", "dest", "my_dolly_ring_thing",
])
def test_names_that_are_nobodys_mistake(name):
    assert ring_guards.unknown_option({"n1": ["ansible_host", name]}, KNOWN) == ""


@pytest.mark.parametrize("name, meant", [
    ("dolly_ring_expect_serail", "Did you mean dolly_ring_expect_serial?"),
    ("dolly_ring_verfy", "Did you mean dolly_ring_verify?"),
    ("dolly_ring_zzzzzzzzzzzzzzzz", ""),
])
def test_a_mistyped_option_names_host_and_remedy(name, meant):
    told = ring_guards.unknown_option({"n1": ["dolly_ring_dest"], "n2": [name]}, KNOWN)
    assert told.startswith("%s is set for n2, " % name) and meant in told
    assert ("Did you mean" in told) == bool(meant)


def test_a_hook_that_is_there():
    seen = []
    wishes = {"n1": {"hooks": {"before": "tasks/first.yml", "after": "", "on_failure": "/srv/told.yml"}}, "n2": {}}
    assert ring_guards.missing_hook(wishes, "/play", lambda path: not seen.append(path)) == ""
    assert seen == ["/play/tasks/first.yml", "/srv/told.yml"]


@pytest.mark.parametrize("hook, path", [("gone.yml", "/play/gone.yml"), ("/srv/gone.yml", "/srv/gone.yml")])
@pytest.mark.parametrize("name", ring_guards.HOOKS)
def test_a_hook_that_is_missing(name, hook, path):
    told = ring_guards.missing_hook({"n1": {"hooks": {name: hook}}}, "/play", lambda path: False)
    assert told.startswith("dolly_ring_%s of n1 is %s, but there is no file %s " % (name, hook, path))
