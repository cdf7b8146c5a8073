"""Runs the commands that the documentation shows, and compares what they print with what it says.

Blocks are fenced with ```console. `$ ` begins a command, `> ` continues it, all else is what it prints; `…` stands for
anything, alone on a line for any lines. A word behind `console` names a program that goes on running (`service`,
`source`): its block is shown here but started by the test.
"""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FENCE = re.compile(r"^( *)```console *(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
END = "--end of command--"


@dataclass
class Command:
    """One command with the lines that it prints; `program` is the word behind `console`."""

    text: str
    program: str = ""
    expected: list[str] = field(default_factory=list)

    def says(self, printed: str) -> bool:
        """Whether this is what was printed; a line `…` stands for any lines, or none."""
        pattern = "".join(
            "(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in self.expected
        )
        return (
            re.fullmatch(pattern, printed.replace("\r", "").rstrip("\n") + "\n" if printed.strip() else "") is not None
        )


def commands_of(document: Path) -> list[Command]:
    commands: list[Command] = []
    for indent, program, block in FENCE.findall(document.read_text()):
        for line in block.splitlines():
            line = line.removeprefix(indent)
            if line.startswith("$ "):
                commands.append(Command(line[2:], program))
            elif line.startswith("> "):
                commands[-1].text += "\n" + line[2:]
            else:
                commands[-1].expected.append(line)
    return commands


def run(commands: list[Command], directory: Path, replace: Mapping[str, str], timeout: float = 240) -> list[str]:
    """Runs them in one shell, as a reader would, and returns what each printed. `replace` gives other addresses."""
    script = ""
    for command in commands:
        script += f"{command.text}\necho; echo '{END}'\n"
    for old, new in replace.items():
        script = script.replace(old, new)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("JEAP_", "PAS_"))}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
    )
    printed = done.stdout.split(f"\n{END}\n")
    assert len(printed) == len(commands) + 1, done.stdout
    return printed[:-1]


def check(commands: list[Command], directory: Path, replace: Mapping[str, str]) -> None:
    """Runs them and compares; fails with the commands that printed something else."""
    printed = run(commands, directory, replace)
    back = {new: old for old, new in replace.items()}
    wrong = []
    for command, output in zip(commands, printed, strict=True):
        for new, old in back.items():
            output = output.replace(new, old)
        if not command.says(output):
            wrong.append(f"$ {command.text}\nshould print\n" + "\n".join(command.expected) + f"\nprinted\n{output}")
    assert not wrong, "\n\n".join(wrong)
