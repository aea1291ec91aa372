"""Images for microcontrollers: plain functions for an emulator, and the benchmark firmware."""

from qdeploy.firmware.build import Firmware, build_firmware
from qdeploy.firmware.image import Image, flash_contents, read_image, symbols
from qdeploy.firmware.interface import ModelInterface
from qdeploy.firmware.linking import link_plain, linker_script

__all__ = [
    "Firmware",
    "Image",
    "ModelInterface",
    "build_firmware",
    "flash_contents",
    "link_plain",
    "linker_script",
    "read_image",
    "symbols",
]
