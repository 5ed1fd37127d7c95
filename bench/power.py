"""bench/power.py — whether the card's power limit is what a request waits for, and what a second of speech costs.

    f5bench.py power [--sizes M]

Requests one after another for two seconds or more, beside NVML's counter of energy and the clock of the
multiprocessors, read every 20 ms; then some after pauses, as a lone caller sees them. A card at its limit lowers its
clock, so that what counts is energy: time saved by another way that needs as much of it is not saved. Wants NVML
(libnvidia-ml, of the driver).
"""
import ctypes
import statistics
import threading
import time

from workload import SIZES, generated_seconds, recording

SECONDS, PAUSE, PAUSED = 2.0, 0.3, 6
SM_CLOCK = 1  # nvmlClockType_t: nvml.h; so are the reasons
REASONS = {0x4: "power limit", 0x8: "slowdown", 0x20: "heat", 0x40: "heat", 0x80: "power brake"}


class Meter:
    """A device's energy, clock and limits, by NVML."""

    def __init__(self, ordinal):
        try:
            self.lib, cuda = ctypes.CDLL("libnvidia-ml.so.1"), ctypes.CDLL("libcuda.so.1")
        except OSError as missing:
            raise RuntimeError(f"power wants NVML, which comes with the driver: {missing}") from None
        bus = ctypes.create_string_buffer(32)
        device = ctypes.c_int()
        if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), ordinal) or cuda.cuDeviceGetPCIBusId(bus, 32, device):
            raise RuntimeError(f"power: libcuda does not say where device {ordinal} is")
        self.device = ctypes.c_void_p()
        self.call("nvmlInit_v2")
        self.call("nvmlDeviceGetHandleByPciBusId_v2", bus, ctypes.byref(self.device))

    def call(self, name, *arguments):
        status = getattr(self.lib, name)(*arguments)
        if status:
            raise RuntimeError(f"power: {name}: NVML status {status}")

    def read(self, name, kind, *which):
        value = kind()
        self.call(f"nvmlDeviceGet{name}", self.device, *which, ctypes.byref(value))
        return value.value

    def joules(self):
        return self.read("TotalEnergyConsumption", ctypes.c_ulonglong) / 1e3

    def mhz(self):
        return self.read("ClockInfo", ctypes.c_uint, SM_CLOCK)

    def most_mhz(self):
        return self.read("MaxClockInfo", ctypes.c_uint, SM_CLOCK)

    def most_watts(self):
        return self.read("EnforcedPowerLimit", ctypes.c_uint) / 1e3

    def reasons(self):
        return self.read("CurrentClocksThrottleReasons", ctypes.c_ulonglong)


def reason_names(bits):
    return ", ".join(sorted({name for bit, name in REASONS.items() if bits & bit})) or "nothing"


def one_after_another(call, meter, seconds=SECONDS):
    """{ms, J, W, MHz, held back by} of calls without a pause, after a few that do not count."""
    for _ in range(3):
        call()
    clocks, bits, failures, over = [], [0], [], threading.Event()

    def watch():
        try:
            while not over.wait(0.02):
                clocks.append(meter.mhz())
                bits[0] |= meter.reasons()
        except RuntimeError as failure:  # told by the caller: "held back by nothing" would be a guess
            failures.append(failure)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        joules, started, calls = meter.joules(), time.perf_counter(), 0
        while calls == 0 or time.perf_counter() - started < seconds:
            call()
            calls += 1
        took, joules = time.perf_counter() - started, meter.joules() - joules
    finally:
        over.set()
        watcher.join()
    if failures:
        raise failures[0]
    return {"ms": 1e3 * took / calls, "J": joules / calls, "W": joules / took,
            "MHz": statistics.mean(clocks) if clocks else None, "held back by": reason_names(bits[0])}


def after_pauses(call, pause=PAUSE, times=PAUSED):
    found = []
    for _ in range(times):
        time.sleep(pause)
        started = time.perf_counter()
        call()
        found.append(1e3 * (time.perf_counter() - started))
    return statistics.median(found)


def run(bench):
    meter = Meter(int(bench.args.device.partition(":")[2] or 0))
    table = bench.report.growing(
        f"Energy of a request, {bench.precision}, NFE 32", None,
        f"This card: {meter.most_watts():.0f} W, {meter.most_mhz()} MHz at most. One after another; alone: after "
        f"{PAUSE} s of rest.")
    with bench.engine(max_frames=max(SIZES[s] for s in bench.sizes())) as ours:
        voice = ours.voice(recording(bench.rng))
        for size in bench.sizes():
            speak = ours.request(voice, SIZES[size], 32)
            found = one_after_another(speak, meter)
            found["J a second of speech"] = found["J"] / generated_seconds(SIZES[size])
            found["alone, ms"] = after_pauses(speak)
            table.add({"size": size, **found})
            for name, unit in (("ms", "ms"), ("J", "J"), ("W", "W"), ("MHz", "MHz"), ("alone, ms", "ms")):
                if found[name] is not None:
                    case = f"power {size} {bench.precision} {name.removesuffix(', ms')}"
                    bench.report.figure(case, found[name], unit)
