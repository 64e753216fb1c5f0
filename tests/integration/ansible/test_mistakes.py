# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user mistypes is found before anything is started, and said in a sentence."""

from __future__ import annotations

import pytest

ROLE = {"hosts": "rack3", "roles": [{"role": "dolly.ring.dolly_ring"}]}


@pytest.mark.parametrize("variables, sentence", [
    ({"dolly_ring_expect_serail": "S1"}, "dolly_ring_expect_serail is set for n1, but there is no such option"),
    ({"dolly_ring_on_failure": "gone.yml"}, "dolly_ring_on_failure of n1 is gone.yml, but there is no file /"),
])
def test_a_name_that_leads_nowhere_refuses_the_play(lab, variables, sentence):
    lab.write_inventory({"rack3": {"n1": {}, "n2": {}}}, **variables)
    outcome = lab.play(ROLE, code=2)
    assert outcome.failed() == {"n1", "n2"}
    assert all(sentence in reason for reason in outcome.reasons().values()), outcome.reasons()
    assert not lab.copies() and not list(lab.targets.iterdir())


def test_two_images_for_one_place_by_two_names_fail_that_host_alone(lab):
    (lab.targets / "alias").symlink_to(lab.targets / "n1.img")
    first = {"name": "a", "source": str(lab.image), "dest": str(lab.targets) + "/{{ inventory_hostname }}.img"}
    lab.write_inventory(
        {"rack3": {"n1": {"other": "alias"}, "n2": {}}},
        dolly_ring_images=[first, dict(first, name="b", dest=str(lab.targets) + "/{{ other | default('more') }}")],
        dolly_ring_min_nodes=1,
    )
    outcome = lab.play(ROLE, code=2)
    assert outcome.failed() == {"n1"} and lab.copies() == {"n2"}
    assert "go to the same place on this host, by two names" in outcome.reasons()["n1"]
