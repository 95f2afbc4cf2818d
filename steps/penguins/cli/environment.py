"""Parameters that environment variables hold, as in data=$TABLE_URL, so that nobody logs the secrets in them."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from penguins.errors import InputError
from penguins.redaction import redact
from penguins.text import quote

FROM_ENVIRONMENT = ("data", "model_uri", "output", "spark")
VARIABLE = re.compile(r"\$([A-Za-z_]\w*)")


def text_from_environment(name: str, text: str) -> str:
    """Return the content of the environment variable that the parameter `name` names, as in $TABLE_URL, else `text`.

    Raises InputError where there is no such variable.
    """
    variable = VARIABLE.fullmatch(text.strip())
    if variable is None or name not in FROM_ENVIRONMENT:
        return text
    if not os.environ.get(variable[1]):
        raise InputError(
            f"The {quote(name)} parameter must name an environment variable that is set, where it begins with $. "
            f"Got {quote(text)}: export {variable[1]}, or write ./{text.strip()} for a file of that name."
        )
    return os.environ[variable[1]]


@contextmanager
def secrets_in_environment(texts: Mapping[str, dict[str, str]]) -> Iterator[dict[str, dict[str, str]]]:
    """Put the parameters of steps that hold secrets into environment variables for the block; provide all parameters by step.

    MLflow logs the parameters of what it runs, and then logs the names of these variables.
    """
    hidden, secrets = {}, {}
    for step, of_step in texts.items():
        hidden[step] = dict(of_step)
        for name, text in of_step.items():
            if name in FROM_ENVIRONMENT and redact(text) != text:
                variable = f"PENGUINS_{step}_{name}".upper()
                hidden[step][name], secrets[variable] = f"${variable}", text
    os.environ.update(secrets)
    try:
        yield hidden
    finally:
        for variable in secrets:
            del os.environ[variable]
