"""The `spark` parameter: where Spark runs."""

import os
import shutil
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlparse

from penguins.cli.combinations import is_written_by_spark

# The values of the parameter for no Spark, and for Spark in the step's own process, which is the default.
NONE, LOCAL = "none", "local[*]"
CONNECT_LOCAL = "connect-"
MINIMUM_JAVA = 17
INSTALL_JAVA = (
    "Install it with 'apt-get install openjdk-17-jre-headless' (Debian, Ubuntu), 'brew install openjdk@17' (macOS) or "
    "'conda install -c conda-forge openjdk=17', or set JAVA_HOME to one."
)
# If one of these is set, the session that is already active is a Connect client or belongs to Databricks.
REMOTE = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "DATABRICKS_RUNTIME_VERSION")
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class SparkTarget:
    """The value of the `spark` parameter: a master, a Connect URL (`sc://…`), `connect-local…` or `active`.

    With `is_long`, the work may take many minutes, for which a JVM may start a little later.
    """

    text: str
    is_long: bool = False

    @property
    def is_active(self) -> bool:
        """Whether the step uses the session that its environment provides, as on Databricks."""
        return self.text == "active"

    @property
    def is_connect_local(self) -> bool:
        """Whether the step starts a Connect server on this machine for itself."""
        return self.text.startswith(CONNECT_LOCAL)

    @property
    def connect_url(self) -> str:
        """The URL of the Connect server that somebody else runs, `SPARK_REMOTE` included; empty if there is none."""
        url = os.environ.get("SPARK_REMOTE", "") if self.is_active else self.text
        return url if url.startswith("sc://") else ""

    @property
    def is_connect(self) -> bool:
        """Whether Spark is reached through a Connect server, so that this process has no JVM."""
        return self.is_connect_local or bool(self.connect_url)

    @property
    def has_local_connect_server(self) -> bool:
        """Whether the Connect server of `connect_url` runs on this machine."""
        return urlparse(self.connect_url).hostname in LOCAL_HOSTS

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the workers run on this machine and see its files. False for `active`: only the session knows its master."""
        return self.master.startswith("local")

    @property
    def is_local_cluster(self) -> bool:
        """Whether Spark runs as a master and executors that are processes of this machine (`local-cluster[…]`)."""
        return self.text.startswith("local-cluster")

    @property
    def needs_java(self) -> bool:
        """Whether this machine needs Java."""
        if self.is_active:
            return not any(name in os.environ for name in REMOTE)
        return not self.connect_url

    @property
    def starts_jvm_in_background(self) -> bool:
        """Whether the step's own JVM can start while Python still imports."""
        return not self.is_active and not self.is_connect

    @property
    def master(self) -> str:
        """The master: the parameter without `connect-`."""
        return self.text.removeprefix(CONNECT_LOCAL)


def target_or_none(text: str, is_long: bool = False) -> SparkTarget | None:
    """Return where Spark runs; None for `none`, and for the default on a machine without Java."""
    return None if reason_for_no_spark(text) else SparkTarget(text, is_long)


def target_of_sweep(parameters: Any) -> SparkTarget | None:
    """Return where Spark runs in a sweep, if it does. One whose tables Spark writes may have very many groups."""
    return target_or_none(parameters.spark, is_long=is_written_by_spark(parameters))


def reason_for_no_spark(text: str) -> str:
    """Return why a step with this value of the parameter has no Spark, and how to have one; an empty text where it has one."""
    if text == NONE:
        return f"spark=none asks for none. To have Spark, give spark={LOCAL}, which needs Java {MINIMUM_JAVA} or later."
    # A JAVA_HOME without Java is a mistake, which the session names.
    has_java = bool(os.environ.get("JAVA_HOME")) or shutil.which("java") is not None
    has_session = any(name in os.environ for name in REMOTE)
    return "" if text != LOCAL or has_java or has_session else f"no Java is found. To have Spark: {INSTALL_JAVA}"
