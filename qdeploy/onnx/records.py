"""What the records of metadata_props have in common: strict, closed, and of limited size."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Packed", "Record"]

Packed = Annotated[str, Field(max_length=64 * 2**20, pattern=r"^[A-Za-z0-9+/=]*$")]
"""An array as text, see `packing`."""


class Record(BaseModel):
    """Types are checked strictly, and other fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
