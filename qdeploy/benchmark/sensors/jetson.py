"""The INA3221 of NVIDIA's Jetson modules: the rail VDD_IN feeds the whole module.

The files are those of the kernel's documentation of ina3221, the labels those that the boards show.
No page of NVIDIA's that says what the rails feed could be read while this was written.
"""

from typing import TYPE_CHECKING

from qdeploy.benchmark.sensors import SENSORS, Probe, Sensor
from qdeploy.benchmark.sensors.hwmon import ChannelProbe, channels

if TYPE_CHECKING:
    from qdeploy.remote import Place

RAILS = ("VDD_IN", "POM_5V_IN")
"""Labels of the module's input: of Orin and Xavier NX, and of the first Nano."""


class _Jetson(Sensor):
    name = "jetson-ina3221"

    def find(self, place: "Place") -> Probe | None:
        found = {each.label: each for each in channels(place) if each.chip.startswith("ina3221")}
        for rail in RAILS:
            if rail in found:
                return ChannelProbe(found[rail], "the whole module, without its carrier, gross")
        return None


SENSORS.register(_Jetson.name)(_Jetson())
