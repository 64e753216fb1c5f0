# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of dolly_server as the module gets them."""

from __future__ import annotations

from ansible_collections.dolly.ring.plugins.modules import dolly_server

NODE = {"name": "n1", "host": "10.0.0.1", "port": 9998}


def params_for(**more):
    params = {name: spec.get("default") for name, spec in dolly_server.argument_spec().items()}
    return {**params, "run_id": "r", "source": "/a.img", "secret": "0f" * 32, "nodes": [NODE], **more}
