"""A process that has everything open; the process of every notebook starts as its copy.

Opening the libraries takes longer than most notebooks run. Where a process can be copied, one process opens
them and the tenant and looks for findings, once. Every notebook then gets two copies of it: one runs papermill
and makes the page, the other is the kernel. Nothing that a notebook does reaches another one.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from flowanalysis.report import processes, worker


class Child:
    """A copy of this process, with what :class:`subprocess.Popen` answers."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def wait(self) -> int:
        """Its exit code, once it has one."""
        while (code := self.poll()) is None:
            time.sleep(processes.PAUSE)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing happens when it ended already."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def copy(role: Callable[[], object]) -> Child:
    """A copy of this process that plays a role and ends, whatever happens."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    return Child(pid) if pid else _play(role)


def _play(role: Callable[[], object]) -> NoReturn:
    code = 1
    try:
        role()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def start(file: Path) -> Child:
    """A job as a copy of this process."""
    return copy(lambda: _work(file))


def _work(file: Path) -> None:
    log = os.open(file.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    worker.main(str(file), kernels=kernels())


def kernels() -> type:
    """A kernel manager whose kernel is a copy of this process, made now: later it would have threads.

    Until it is asked for it waits at a pipe; when nobody asks, it ends with this process.
    """
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_client.provisioning.local_provisioner import LocalProvisioner

    ear, mouth = os.pipe()
    child = copy(lambda: _kernel(ear, mouth))
    os.close(ear)

    class Copied(LocalProvisioner):
        """Starts the kernel by a word to the waiting copy."""

        async def launch_kernel(self, cmd: list[str], **options: Any) -> Any:
            if "ipykernel_launcher" not in cmd:  # the machine has its own idea of a Python kernel
                return await super().launch_kernel(cmd, **options)
            argv = cmd[cmd.index("ipykernel_launcher") + 1 :] + [f"--IPKernelApp.parent_handle={os.getpid()}"]
            told = {"argv": argv, "cwd": str(options.get("cwd") or Path.cwd()), "env": dict(options.get("env") or {})}
            with os.fdopen(mouth, "w", encoding="utf-8") as pipe:
                json.dump(told, pipe)
            self.process, self.pid = child, child.pid  # type: ignore[assignment]
            return self.connection_info

    class Manager(AsyncKernelManager):
        """A manager whose provisioner is the one above."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.provisioner = Copied(kernel_id="copy", kernel_spec=self.kernel_spec, parent=self)

    return Manager


def _kernel(ear: int, mouth: int) -> None:
    os.close(mouth)
    os.setsid()  # a signal for the runner is none for the kernel
    with os.fdopen(ear, encoding="utf-8") as pipe:
        text = pipe.read()
    if not text:
        return
    told = json.loads(text)
    os.chdir(told["cwd"])
    os.environ.update(told["env"])
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(argv=told["argv"])


def open_all(opened: Mapping[str, str], folder: Path) -> None:
    """Open what notebooks open: libraries, template, tenant, findings; what was found is left in the folder."""
    import ipykernel.kernelapp  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import papermill  # noqa: F401

    from flowanalysis.loading import keep_open
    from flowanalysis.policy import load_policy
    from flowanalysis.report import figures, notebook, show  # noqa: F401
    from flowanalysis.report.seen import hand_over, responsible

    notebook.warm_up()
    if not opened.get("data"):
        return
    tenant = keep_open(opened["data"])
    before = keep_open(opened["previous"]) if opened.get("previous") else None
    policy = load_policy(opened.get("policy") or None)
    responsible(tenant, policy)
    if before is not None:
        responsible(before, policy)
        responsible(tenant, policy, before)
    draft = folder / f"{processes.FOUND}.part"
    draft.mkdir()
    hand_over(draft, "now", tenant, policy, before)
    if before is not None:
        hand_over(draft, "then", before, policy, None)
    draft.rename(folder / processes.FOUND)


def main(path: str) -> None:
    """Open everything, run the jobs of an order, and say on stdout how each ended."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    sys.modules.setdefault(worker.UNUSED, None)  # type: ignore[arg-type]
    order = json.loads(Path(path).read_text(encoding="utf-8"))
    try:
        open_all(order["opened"], Path(path).parent)
    except Exception:  # every notebook that needs it will say so on its own page
        traceback.print_exc()
    processes.say_ready()
    gc.collect()
    gc.freeze()  # copies share what nobody touches
    files = list(map(Path, order["files"]))
    for file, code in processes.in_turn(files, start, jobs=order["jobs"], timeout=order["timeout"]):
        print(json.dumps([str(file), code]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
