# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ends a host with the first cause of its failure. See the module dolly_verdict."""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from ansible_collections.dolly.ring.plugins.plugin_utils import ring_results


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        dummy, args = self.validate_argument_spec(argument_spec={"result": {"type": "dict", "required": True}})
        said = args["result"]
        result.update(changed=False, msg=said.get("reason") or "")
        if said.get("state") == "unreachable":
            result["unreachable"] = True
        elif said.get("state") not in ring_results.GOOD:
            result["failed"] = True
        return result
