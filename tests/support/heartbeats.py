"""Heartbeats of processes that are gone, or of this one, for runs that a test makes."""

from dataclasses import replace

from mlflow import MlflowClient

from penguins.resume.heartbeat import HEARTBEAT, heartbeat_now

ALIVE = heartbeat_now().tags()
# A process of this machine that is gone.
DEAD = replace(heartbeat_now(), process="999999999 0.00").tags()


def set_heartbeat(client: MlflowClient, run_id: str, tags: dict[str, str]) -> None:
    """Give a run another heartbeat, `ALIVE` or `DEAD`."""
    client.set_tag(run_id, HEARTBEAT, tags[HEARTBEAT])
