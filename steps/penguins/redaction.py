"""Take secrets out of text: the passwords, tokens and signatures that URLs carry."""

import re

HIDDEN = "***"
# What stands before the host: user:password@, or over HTTP a token@. A password may hold @ and / where nobody encoded them.
# Digits and a slash may be the port of an address that has an @ in its path, though not in stores of objects and databases.
PORT = r"\d+(?:[/?#'\"\s]|$)"
LOGIN = re.compile(
    rf"(?:(?:(?<=s3)|(?<=s3[an])|(?<=sql)|(?<=psycopg2)|(?!://[^\s/?#@:\[]*:{PORT}))://[^\s/?#@:\[]*:(?:(?!://)[^\s@])*@"
    r"|(?:(?<=http)|(?<=https))://[^\s/?#@:\[]+@)(?:[^\s/?#@]*@)*"
)
# A parameter is secret by its name, and its value ends where the next parameter, the text or a quoted URL ends.
NAME = (
    r"(?:[\w.%-]*(?:token|secret|passw(?:or)?d|passphrase|pwd|signature|credentials?|api[_-]?key|access[_-]?key(?:[_-]?id)?"
    r"|access[_-]?id|account[_-]?key|secret[_-]?key)|x-(?:amz|goog)-[\w-]+|auth|authorization|code|jwt|key|odbc_connect|pass|sas|sig)"
)
VALUE = r"""(?:(?![&;][\w.%-]+=)[^\s'"<>]|['"](?=\w))*"""
PARAMETER = re.compile(rf"([?&;#]{NAME}=){VALUE}", re.IGNORECASE)
# After the path of a URL, of which a library may quote the path alone; parameters of Spark Connect and JDBC follow a semicolon.
QUERY = re.compile(r"(/[^\s/?#'\"]*)([?#](?:[^\s'\"<>]|['\"](?=\w))*)")
ADDRESS_PARAMETERS = re.compile(r"(://(?:(?!://)[^\s;'\"])*)(;(?:[^\s'\"<>]|['\"](?=\w))*)")
# All parameters of a signed URL belong to its signature, and each signature comes with other ones.
SIGNED = re.compile(r"[?&](?:x-(?:amz|goog)-[\w-]+|sig|signature)=", re.IGNORECASE)


def redact(text: str) -> str:
    """Replace every secret in the URLs of `text` by `***`. Hosts and paths stay, and so does everything that is no URL.

    Two URLs of one object that are signed at different times become the same text.
    """
    if "/" not in text:
        return text
    text = LOGIN.sub(f"://{HIDDEN}@", text)
    text = QUERY.sub(_redact_query, text)
    return ADDRESS_PARAMETERS.sub(lambda found: found[1] + PARAMETER.sub(rf"\1{HIDDEN}", found[2]), text)


def _redact_query(found: re.Match[str]) -> str:
    if SIGNED.search(found[2]):
        return f"{found[1]}?{HIDDEN}"
    return found[1] + PARAMETER.sub(rf"\1{HIDDEN}", found[2])
