"""Processes that share a command: what they print, and when one is killed."""

import os
import subprocess
import sys
import textwrap

import pytest
from commands import ROOT

from peernets_tf.cli import workers
from peernets_tf.errors import UserError

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="needs signals of POSIX"
)


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Returns a function that writes the code of a command `fake_command`."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def write(code):
        start = "import os, pathlib, signal, sys, time\nshard = sys.argv[-1]\n"
        path = tmp_path / "fake_command.py"
        path.write_text(start + textwrap.dedent(code))

    return write


def environment(folder):
    """Returns that of a process which finds the package and a command."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path}


def test_each_worker_gets_a_shard(command, capfd):
    command("""
        print(sys.argv[1:])
        print("log", file=sys.stderr)
    """)
    workers.run("fake_command", ["--a=1"], 3)
    out, err = capfd.readouterr()
    expected = [f"[{i}/3] ['--a=1', '--shard={i}/3']" for i in (1, 2, 3)]
    assert sorted(out.splitlines()) == expected
    assert sorted(err.splitlines()) == [f"[{i}/3] log" for i in (1, 2, 3)]


def test_workers_share_the_cores(command, capfd):
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system cannot say which cores a process may use")
    cores = sorted(os.sched_getaffinity(0))
    command("print(sorted(os.sched_getaffinity(0)))")
    workers.run("fake_command", [], 1)
    assert capfd.readouterr().out == f"[1/1] {cores}\n"
    if len(cores) > 1:
        workers.run("fake_command", [], 2)
        found = sorted(capfd.readouterr().out.splitlines())
        assert found == [f"[1/2] {cores[::2]}", f"[2/2] {cores[1::2]}"]
    # Too many for a core each: all may use all.
    workers.run("fake_command", [], len(cores) + 1)
    for line in capfd.readouterr().out.splitlines():
        assert line.endswith(f"] {cores}")


def test_a_killed_worker_is_started_again(command, capfd):
    """The other waits for it, as the shards of a suite do."""
    command("""
        done = pathlib.Path("done")
        if shard == "--shard=2/2":
            first = pathlib.Path("first")
            if not first.exists():
                first.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            done.touch()
        while not done.exists():
            time.sleep(0.01)
        print("ended")
    """)
    workers.run("fake_command", [], 2)
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "[2/2] was killed (signal 9) and is started again"
    assert sorted(lines[1:]) == ["[1/2] ended", "[2/2] ended"]


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (
            "print('error: no data', file=sys.stderr); sys.exit(1)",
            "worker 2/2 failed: no data$",
        ),
        ("os.kill(os.getpid(), signal.SIGKILL)", "worker 2/2 .*: -9. Give"),
    ],
)
def test_one_that_fails_stops_the_others(command, failure, message, tmp_path):
    command(f"""
        if shard == "--shard=2/2":
            while not os.path.exists("pid"):
                time.sleep(0.01)
            {failure}
        pathlib.Path("pid").write_text(str(os.getpid()))
        time.sleep(600)
    """)
    with pytest.raises(UserError, match=message):
        workers.run("fake_command", [], 2)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_they_end_if_nobody_reads(command, tmp_path):
    """As with `| head -1`: a worker that cannot print would wait for ever."""
    command("""
        while True:
            print("x" * 1000, flush=True)
    """)
    code = (
        "from peernets_tf.cli import workers\n"
        "try:\n"
        "    workers.run('fake_command', [], 2)\n"
        "except BrokenPipeError:\n"
        "    import os\n"
        "    os._exit(141)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 141


@pytest.mark.parametrize(
    ("end", "stdout"),
    [
        ("_thread.interrupt_main()", "interrupted\n"),
        # As a terminal does: the workers receive it, too.
        ("os.killpg(0, signal.SIGINT)", "interrupted\n"),
        ("os.kill(os.getpid(), signal.SIGTERM)", ""),
    ],
)
def test_ctrl_c_and_sigterm_end_all(command, end, stdout, tmp_path):
    command("""
        path = pathlib.Path(f"pid{shard[-3]}")
        # It is there only when it is written, and the process may then end.
        path.with_suffix(".new").write_text(str(os.getpid()))
        path.with_suffix(".new").rename(path)
        time.sleep(600)
    """)
    code = (
        "import _thread, os, signal, threading, time\n"
        "from peernets_tf.cli import workers\n"
        # A shell starts what runs in the background with Ctrl-C ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def interrupt():\n"
        "    while not (os.path.exists('pid1') and os.path.exists('pid2')):\n"
        "        time.sleep(0.01)\n"
        f"    {end}\n"
        "threading.Thread(target=interrupt, daemon=True).start()\n"
        "try:\n"
        "    workers.run('fake_command', [], 2)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        start_new_session=True,
    )
    assert found.stdout == stdout, found.stderr
    for name in ("pid1", "pid2"):
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / name).read_text()), 0)
