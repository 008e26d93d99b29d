"""Assertions of the audit are shown with their values, too."""

import pytest

pytest.register_assert_rewrite("tests.simulation.central_audit")
