"""What tests of studies share."""

import pytest


@pytest.fixture
def storage(tmp_path):
    """URL of a database that is not there yet."""
    return f"sqlite:///{tmp_path}/sweep.db"
