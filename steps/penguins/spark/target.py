"""The `spark` parameter: where Spark runs."""

import os
from dataclasses import dataclass
from urllib.parse import urlparse

CONNECT_LOCAL = "connect-"
# If one of these is set, the session that is already active is a Connect client or belongs to Databricks.
REMOTE = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "DATABRICKS_RUNTIME_VERSION")
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class SparkTarget:
    """The value of the `spark` parameter: a master, a Connect URL (`sc://…`), `connect-local…` or `active`."""

    text: str

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
