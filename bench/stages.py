"""bench/stages.py — what each stage of a request takes, by the engine's own clock, which waits for the device.

    f5bench.py stages [--sizes M]

mel          the reference's 5 s of samples to their mel, once a voice
prepare      batch layout, copies to the device, noise; the time grid's modulations are kept from the request before
once         what comes before the first evaluation and after the last: text encoder, condition, launch, mel to the host
evaluation   one of the DiT, both branches: the slope of the ODE's time over the number of steps
Vocos        generated frames to samples in host memory
host         around the engine: text checks, tokens, the caller's copy
outside      all of a request at NFE 32 that is no evaluation, and the mel
new grid     what a request takes longer when the one before had another number of steps
"""
import statistics

from workload import SIZES, clock_ms, median_ms, recording

NFE, FEW, MORE = 32, 8, 24


def evaluation(ours, voice, frames, rounds, few=FEW, more=MORE):
    """(ms of one evaluation, ms that the ODE's stage takes besides)"""
    ode = []
    for nfe in (few, more):
        speak = ours.request(voice, frames, nfe)
        median_ms(speak, rounds)
        ode.append(ours.stages(rounds)["ode"])
    slope = (ode[1] - ode[0]) / (more - few)
    return slope, ode[0] - few * slope


def stages_of(ours, voice, samples, frames, rounds):
    mel = median_ms(lambda: ours.engine.mel(samples), rounds)
    slope, once = evaluation(ours, voice, frames, rounds)
    speak, other = (ours.request(voice, frames, nfe) for nfe in (NFE, NFE - 1))
    request = median_ms(speak, rounds)
    stage = ours.stages(rounds)
    by_turns = statistics.median(clock_ms({"same": speak, "other": other}, rounds)["same"])
    return {"mel": mel, "prepare": stage["prepare"], "once": once, "evaluation": slope, "Vocos": stage["vocos"],
            "host": request - stage["total"], f"request, NFE {NFE}": request,
            "outside": mel + request - NFE * slope, "new grid": by_turns - request}


def run(bench):
    rows, samples = [], recording(bench.rng, 5)
    with bench.engine(max_frames=max(SIZES[s] for s in bench.sizes()), nfe=NFE) as ours:
        voice = ours.voice(samples)
        for size in bench.sizes():
            found = stages_of(ours, voice, samples, SIZES[size], bench.args.rounds)
            rows.append({"size": size, **found})
            for stage, ms in found.items():
                bench.report.figure(f"stage {size} {bench.precision} {stage}", ms, "ms")
    bench.report.table("f5tts by stage, ms", list(rows[0]), rows)
