"""The last word on a run, said by a process of its own once `mlflow run` has had its say.

When the step's process has ended, MLflow writes FINISHED or FAILED on its run, whatever the step itself has written there: a
run that somebody ended would be called FAILED, and one that was deleted could not be ended at all. This waits for that, and
then writes KILLED, or deletes the run. It waits no longer than some seconds.
"""

import os
import subprocess
import sys
import time

KILLED, DELETED = "KILLED", "deleted"
STEP_ENDS_S, MLFLOW_WRITES_S, LOOK_S = 60.0, 10.0, 0.1


def leave(word: str, run_id: str, step: int, above: int) -> None:
    """Starts a process that says `word` on the run, after the process `step`, which `mlflow run` in `above` has started."""
    # -P: of the modules beside this one, none is to stand in for a library's.
    command = [sys.executable, "-P", os.path.abspath(__file__), word, run_id, str(step), str(above)]
    nowhere = subprocess.DEVNULL
    subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True)


def say(word: str, run_id: str, step: int, above: int) -> None:
    """Waits until MLflow has written on the run, then says `word` on it."""
    import psutil
    from mlflow import MlflowClient

    client = MlflowClient()
    written = client.get_run(run_id).info.end_time
    until = time.monotonic() + STEP_ENDS_S
    while psutil.pid_exists(step) and time.monotonic() < until:
        written = client.get_run(run_id).info.end_time
        time.sleep(LOOK_S)
    until = time.monotonic() + MLFLOW_WRITES_S
    while psutil.pid_exists(above) and time.monotonic() < until:
        info = client.get_run(run_id).info
        if info.status == "FAILED" or (word == DELETED and info.end_time != written):
            break
        time.sleep(LOOK_S)
    if word == DELETED:
        client.delete_run(run_id)
    elif client.get_run(run_id).info.status != KILLED:
        client.set_terminated(run_id, KILLED)


if __name__ == "__main__":
    say(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
