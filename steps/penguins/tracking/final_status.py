"""Write the final status of a run from a separate process, after `mlflow run` has written its own.

When a step's process ends, MLflow writes FINISHED or FAILED on its run, over any status that the step itself wrote: an
interrupted run would be called FAILED, and a run that the step deleted could not be ended. This process waits until MLflow has
written, then writes KILLED or deletes the run. It waits for a limited time only.
"""

import os
import subprocess
import sys
import time

from penguins.cli.signals import mlflow_run_above

KILLED, DELETED = "KILLED", "deleted"
STEP_ENDS_S, MLFLOW_WRITES_S, POLL_S = 60.0, 10.0, 0.1


def schedule_final_status(status: str) -> bool:
    """Start a process that writes `status` on the run of `mlflow run`. Return False where no `mlflow run` started this one."""
    above = mlflow_run_above()
    if above is None:
        return False
    run_id, mlflow_run = above
    folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    program = (
        f"import sys; sys.path.append({folder!r}); from penguins.tracking.final_status import write_final_status as write; "
    )
    program += f"write({status!r}, {run_id!r}, {os.getpid()}, {mlflow_run})"
    nowhere = subprocess.DEVNULL
    subprocess.Popen(
        [sys.executable, "-P", "-c", program], stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
    )
    return True


def write_final_status(status: str, run_id: str, step: int, mlflow_run: int) -> None:
    """Write `status` on the run once the process `step` has ended and MLflow, in the process `mlflow_run`, has ended it."""
    import psutil
    from mlflow import MlflowClient

    client = MlflowClient()
    end_time = client.get_run(run_id).info.end_time
    until = time.monotonic() + STEP_ENDS_S
    while psutil.pid_exists(step) and time.monotonic() < until:
        end_time = client.get_run(run_id).info.end_time
        time.sleep(POLL_S)
    until = time.monotonic() + MLFLOW_WRITES_S
    while psutil.pid_exists(mlflow_run) and time.monotonic() < until:
        info = client.get_run(run_id).info
        if info.status == "FAILED" or (status == DELETED and info.end_time != end_time):
            break
        time.sleep(POLL_S)
    if status == DELETED:
        client.delete_run(run_id)
    elif client.get_run(run_id).info.status != KILLED:
        client.set_terminated(run_id, KILLED)
