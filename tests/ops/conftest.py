"""Every test of an op runs once for each instruction set that this build has and this CPU too."""
import pytest

import cbind


@pytest.fixture(autouse=True, params=cbind.isas())
def isa(request):
    with cbind.context(isa=request.param):
        yield request.param
