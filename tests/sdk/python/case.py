"""What the scripts share: which keys to try, and how what happened is told.

Nothing here configures an SDK: that is done by the SDK's own environment variables alone. Each script prints one JSON
object with what it saw; the Rust test that runs it compares.
"""

import json
import os

MODEL = os.environ["KEYWARD_SDK_MODEL"]


def failing_keys():
    """The keys that must fail, by the name of their case."""
    return json.loads(os.environ.get("KEYWARD_SDK_FAILING_KEYS", "{}"))


def caught(call, *, base):
    """Runs a call that must raise, and tells what it raised. Anything but the SDK's own exceptions passes through."""
    try:
        call()
    except base as error:
        response = getattr(error, "response", None)
        headers = getattr(error, "headers", None) or getattr(response, "headers", None) or {}
        return {
            "class": type(error).__name__,
            "status": getattr(error, "status_code", None) or getattr(error, "code", None),
            "text": str(error),
            "reason": {name.lower(): value for name, value in dict(headers).items()}.get("keyward-error"),
        }
    raise AssertionError("the call did not fail")


def tell(facts):
    """Prints what was seen."""
    print(json.dumps(facts))
