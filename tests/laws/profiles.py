"""Hypothesis profiles, chosen by DOLLYMIX_HYPOTHESIS: `fast` (default), `dev`, `ci`, `nightly`.

They draw 25, 100, 1,000 and 10,000 examples a law. `fast` shows a failing case as it was drawn;
the others take the time to make it small. Every module with laws imports this one, so that it is
loaded whichever of them runs.
"""

import os

from hypothesis import HealthCheck, Phase, settings

PROFILE = os.environ.get("DOLLYMIX_HYPOTHESIS", "fast")
_LENIENT = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
    "print_blob": True,
}

_QUICK = (Phase.explicit, Phase.reuse, Phase.generate)

settings.register_profile("fast", max_examples=25, derandomize=True, phases=_QUICK, **_LENIENT)
settings.register_profile("dev", max_examples=100, **_LENIENT)
settings.register_profile("ci", max_examples=1_000, **_LENIENT)
settings.register_profile("nightly", max_examples=10_000, **_LENIENT)
settings.load_profile(PROFILE)
