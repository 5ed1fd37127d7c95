"""shells.py — what bash, zsh and fish complete a command line with, by really asking each of them.

    bash(["f5tts", "infer", "--nf"], script, folder)   -> {"--nfe_step"}

The last word is completed. The program is found by PATH, which `environment` sets; folder is the current one.
"""
import atexit
import os
import pty
import select
import subprocess
import tempfile
import time
from pathlib import Path

import convert_lib


def environment(folder):
    """Of a shell that knows nothing of its user."""
    build = Path(convert_lib.program()).parent
    return dict(PATH=f"{build}:/usr/bin:/bin", HOME=str(folder), TERM="xterm", LC_ALL="C.UTF-8",
                ASAN_OPTIONS="detect_leaks=0")


def bash(words, script, folder):
    """COMPREPLY after the function has run, as readline would call it: it cuts words at = too."""
    cut = []
    for word in words:
        head, equals, tail = word.partition("=")
        cut += [w for w in (head, equals, tail) if w or w is head] if equals else [word]
    if words[-1].endswith("="):
        cut.append("")
    driver = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; '
              '_f5tts; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "--norc", "--noprofile", "-c", driver, "bash", script, *cut], cwd=folder,
                          capture_output=True, text=True, env=environment(folder), timeout=600)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return set(done.stdout.split("\n")) - {""}


def fish(words, script, folder):
    line = " ".join(words)
    done = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"], cwd=folder,
                          capture_output=True, text=True, env=environment(folder), timeout=600)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return {found.split("\t")[0] for found in done.stdout.splitlines()}


class Zsh:
    """zsh completes on a terminal only; one answers all questions. Each match that _f5tts adds is written to a file."""
    SETUP = """
PS1= RPS1=
fpath=({script.parent} $fpath)
autoload -Uz compinit; compinit -u -D
compadd() {{
    local -a matches; builtin compadd -O matches "$@"; print -rl -- $matches >> {found}; builtin compadd "$@"
}}
bindkey '^I' expand-or-complete
finish() {{ print -r -- END >> {found} }}; zle -N finish; bindkey '^X' finish
"""

    def __init__(self, script):
        self.folder = tempfile.TemporaryDirectory(prefix="f5tts-zsh-")
        home = Path(self.folder.name)
        self.found, setup, self.said = home / "found", home / "setup.zsh", b""
        setup.write_text(self.SETUP.format(script=Path(script), found=self.found))
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.execve("/usr/bin/zsh", ["zsh", "-f", "-i"], environment(home))
        self.send(f"source {setup}\n")

    def send(self, keys):
        """Types, and waits until it was seen to."""
        self.found.write_text("")
        line = keys.endswith("\n")
        os.write(self.terminal, (keys + (f" print -r END >> {self.found}\n" if line else "\x18")).encode())
        until = time.monotonic() + 60
        while "END" not in self.found.read_text().split("\n"):
            assert time.monotonic() < until, self.said.decode(errors="replace")[-2000:]
            if select.select([self.terminal], [], [], 0.02)[0]:
                self.said += os.read(self.terminal, 65536)
        return set(self.found.read_text().split("\n")) - {"", "END"}

    def close(self):
        os.kill(self.child, 9)
        os.waitpid(self.child, 0)
        os.close(self.terminal)
        self.folder.cleanup()


def zsh(words, script, folder):
    if not sessions:
        sessions.append(Zsh(script))
        atexit.register(sessions[0].close)
    sessions[0].send(f"\x15cd {folder}\n")
    return sessions[0].send(" ".join(words) + "\t")


sessions = []
