"""TOML tables that are checked when they are read, and what the targets of every family share.

A fault in a file becomes one sentence that names the file, the key and what it must be. The
sentence comes from the descriptions of the fields, so a new key needs no new message.
"""

import tomllib
import typing
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from qdeploy.errors import QDeployError
from qdeploy.registry import Registry
from qdeploy.wording import did_you_mean

__all__ = [
    "FAMILIES",
    "Batches",
    "BenchmarkDefinition",
    "Name",
    "NonNegative",
    "Percentages",
    "Positive",
    "Power",
    "Table",
    "Target",
    "folder",
    "read_table",
    "toml",
    "validated",
]

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _from_one(batches: tuple[int, ...]) -> tuple[int, ...]:
    if batches[:1] != (1,) or list(batches) != sorted(set(batches)):
        raise ValueError("not growing from 1")
    return batches


def _percentages(values: tuple[float, ...]) -> tuple[float, ...]:
    if list(values) != sorted(set(values)) or values[0] < 0 or values[-1] > 100:
        raise ValueError("not growing percentages")
    return values


Batches = Annotated[
    tuple[int, ...],
    Field(strict=False, description="a list of growing batch sizes that starts with 1"),
    AfterValidator(_from_one),
]
"""Batch sizes of a throughput, 1 among them."""

Percentages = Annotated[
    tuple[float, ...],
    Field(
        strict=False,
        min_length=1,
        description="a list of growing percentages between 0 and 100",
    ),
    AfterValidator(_percentages),
]
"""Percentiles to report."""


class Table(BaseModel):
    """A TOML table: no unknown keys, no silent conversions. Descriptions end up in messages."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Power(Table):
    """Power of one busy core (or board) in watts, for energy estimates.

    Attributes:
        low: lower end of the band.
        typical: likely value.
        high: upper end of the band.
        kind: whether the figure was measured, is of a datasheet, or only bounds what is plausible.
        source: where it comes from.
    """

    low: Positive = Field(description="a positive number of watts")
    typical: Positive = Field(description="a positive number of watts")
    high: Positive = Field(description="a positive number of watts")
    kind: Literal["measured", "datasheet", "bound"] = Field(
        description='"measured", "datasheet" or "bound"'
    )
    source: str = Field(min_length=1, description="the document or instrument, in words")

    @model_validator(mode="after")
    def _ordered(self) -> "Power":
        if not self.low <= self.typical <= self.high:
            raise ValueError("low, typical and high must be in this order")
        return self


class BenchmarkDefinition(Table):
    """How the targets of one family are measured; a family adds its own keys in a subclass.

    Attributes:
        family: whose definition it is.
        description: one sentence.
        peers: implementations to compare, by name, ours first.
        meters: sources of energy, by name, in order of preference.
    """

    family: str = Field(description="a family of targets")
    description: str = Field(min_length=1, description="one sentence")
    peers: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        min_length=1, description="a list of names of implementations, none twice"
    )
    meters: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        min_length=1, description="a list of names of energy meters, none twice"
    )

    @field_validator("peers", "meters")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError("a name appears twice")
        return names


class Target(Table):
    """What every family has in common.

    Attributes:
        name: what users type.
        family: the kind of machine; chooses the tables that the file may have.
        description: one sentence.
        benchmark: name of the benchmark definition in the family's folder.
        clock_megahertz: None where it is not known, as for hosts.
    """

    power_table: ClassVar[str] = "power"
    """The table of the file that states the power."""

    definition: ClassVar[type[BenchmarkDefinition]] = BenchmarkDefinition
    """What benchmark definitions of the family may say."""

    name: Name = Field(description="lower-case letters, digits, dots, dashes and underscores")
    family: str = Field(description="a family of targets")
    description: str = Field(min_length=1, description="one sentence")
    benchmark: Name = Field(
        default="benchmark", description="the name of a benchmark definition of the family"
    )
    clock_megahertz: Positive | None = Field(
        default=None, description="a positive number of megahertz"
    )

    @property
    def stated_power(self) -> Power | None:
        """Power of the busy machine as its file states it; None where the file does not."""
        return None

    def facts(self) -> list[tuple[str, str]]:
        """Headings and texts for people; empty for a family whose keys speak for themselves."""
        return []

    def details(self) -> dict[str, Any]:
        """Everything in the file, and in the files that it refers to, as plain values."""
        return self.model_dump(mode="json", by_alias=True)


FAMILIES: Registry[type[Target]] = Registry("family of targets", __package__)
"""Each module of this package that describes a family enters its class of targets."""


TableT = TypeVar("TableT", bound=Table)


def folder() -> Path:
    """The targets: inside the installed package, or beside it in a source checkout."""
    package = Path(__file__).parents[1]
    installed = package / "_targets"
    return installed if installed.is_dir() else package.parent / "targets"


def read_table(path: Path, model: type[TableT]) -> TableT:
    """A TOML file as the table that it must be.

    Raises:
        QDeployError: the file cannot be read, or says something that it must not.
    """
    return validated(path, toml(path), model)


def toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file.

    Raises:
        QDeployError: there is no such file, or it is not TOML in UTF-8.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise QDeployError(f"{path}: there is no such file") from None
    except OSError as fault:
        raise QDeployError(f"{path}: cannot be read ({fault.strerror})") from None
    except UnicodeDecodeError:
        raise QDeployError(f"{path.name}: the text is not UTF-8") from None
    except tomllib.TOMLDecodeError as fault:
        raise QDeployError(f"{path.name}: not valid TOML ({fault})") from None


def validated(path: Path, values: dict[str, Any], model: type[TableT]) -> TableT:
    """Values of a file as the table that they must be.

    Raises:
        QDeployError: with the first fault that a user should mend.
    """
    try:
        return model.model_validate(values)
    except ValidationError as fault:
        # An unknown key first: a misspelt one is also reported as missing.
        details = min(fault.errors(), key=lambda each: each["type"] != "extra_forbidden")
    key, table, description = _locate(model, details["loc"])
    match details["type"]:
        case "extra_forbidden":
            unknown = str(details["loc"][-1])
            known = list(table.model_fields)
            told = did_you_mean(unknown, known) or f"; known here are {', '.join(known)}"
            full = f"{key}.{unknown}" if key else unknown
            raise QDeployError(f"{path.name}: the key {full!r} is not known{told}")
        case "missing":
            raise QDeployError(f"{path.name}: the key {key!r} is missing; it is {description}")
        case "value_error" if isinstance(details["input"], dict):
            place = f"table {key!r}: " if key else ""
            raise QDeployError(f"{path.name}: {place}{details['ctx']['error']}")
        case _:
            raise QDeployError(
                f"{path.name}: the key {key!r} is {details['input']!r}, but must be {description}"
            )


def _locate(model: type[Table], place: tuple[int | str, ...]) -> tuple[str, type[Table], str]:
    """Dotted key, innermost table and description of the place of an error.

    Places hold the branches of unions too; what is not a key or an index is passed over.
    """
    key, table, description = "", model, ""
    for part in place:
        if isinstance(part, int):
            key += f"[{part + 1}]"
        elif part in table.model_fields:
            field = table.model_fields[part]
            key = f"{key}.{part}" if key else part
            description = field.description or ""
            table = _inner_table(field.annotation) or table
    return key, table, description


def _inner_table(annotation: Any) -> type[Table] | None:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    for part in typing.get_args(annotation):
        if found := _inner_table(part):
            return found
    return None
