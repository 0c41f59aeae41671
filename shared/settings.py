"""Settings: read once from the environment, immutable, with errors that name the variable."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.calibration import Calibration, read_calibration
from shared.errors import SettingsError


def _calibration(value: object) -> object:
    if isinstance(value, str):
        return read_calibration(value) if value.strip() else None
    return value


FaceCalibration = Annotated[Calibration | None, NoDecode, BeforeValidator(_calibration)]
"""Constants of model packs, as JSON (:mod:`shared.calibration`); empty for the built-in ones."""

BucketName = Annotated[str, Field(min_length=3, max_length=222)]


class Settings(BaseSettings):
    """Settings of every function. Each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    database_url: Annotated[str, Field(pattern=r"^postgres(ql)?://", description="Postgres with pgvector")]
    google_cloud_project: Annotated[str, Field(min_length=1)]
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    database_pool_size: Annotated[int, Field(ge=1, le=64)] = 4

    @classmethod
    def from_environment(cls) -> Self:
        """Read the settings from the environment.

        Raises:
            SettingsError: a variable is missing or wrong; the text names each of them and says why.
        """
        try:
            return cls()
        except ValidationError as error:
            problems = [
                # pydantic puts "Value error, " before the messages of our own validators.
                f"{'.'.join(map(str, problem['loc'])).upper()}: {problem['msg'].removeprefix('Value error, ')}"
                for problem in error.errors(include_url=False, include_input=False)
            ]
            message = "these environment variables need attention: " + "; ".join(problems)
            raise SettingsError(message) from None
