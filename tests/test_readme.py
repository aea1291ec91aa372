"""What the documentation tells users to type exists."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer

import qdeploy
from qdeploy.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = typer.main.get_command(app).commands
EVERYWHERE = {"--help", "--version"}


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def shell_lines(page):
    for block in blocks(page, "sh"):
        yield from (line for line in block.replace("\\\n", " ").splitlines() if line.strip())


def options(command):
    return {option for parameter in command.params for option in parameter.opts} | EVERYWHERE


def check_words(words):
    command = COMMANDS[words[1]]
    if len(words) > 2 and words[2] in getattr(command, "commands", {}):
        command = command.commands[words[2]]
    for word in words[2:]:
        if word.startswith("-"):
            assert word.split("=")[0] in options(command), f"{' '.join(words)}: no option {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page):
    for line in shell_lines(page):
        words = shlex.split(line, comments=True)
        if words and words[0] == "qdeploy" and len(words) > 1:
            check_words(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_inline_commands_and_options_exist(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    every_option = set().union(*(options(command) for command in COMMANDS.values()))
    for code in re.findall(r"`([^`\n]+)`", text):
        if code.startswith("qdeploy "):
            check_words(code.split())
        elif re.fullmatch(r"--[a-z-]+( [A-Z]+)?", code):
            assert code.split()[0] in every_option, code


def test_readme_names_every_command():
    text = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if f"`qdeploy {name}" not in text] == []


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    wanted = set(re.findall(r"\bmake ([a-z-]+)", " ".join(shell_lines(ROOT / "README.md"))))
    assert {"demo", "test"} <= wanted
    for target in wanted:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_continuous_integration_runs_the_test_command_alone():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["make test"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_snippets_use_names_that_exist(page):
    for snippet in blocks(page, "python"):
        for node in ast.walk(ast.parse(snippet)):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "qdeploy"
            ):
                assert node.attr in qdeploy.__all__


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), link
