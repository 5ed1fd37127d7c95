"""bench/stages.py — what each stage of a request takes, by the engine's own clock, which waits for the device.

    f5bench.py stages [--sizes M]

mel          the reference's 5 s of samples to their mel, once a voice
prepare      batch layout, copies to the device, noise; the time grid's modulations are kept from the request before
once         what the ODE's stage does besides evaluations: text encoder, condition, launch, mel to the host; twice the
             time of one step less that of two
evaluation   one of the DiT, both branches: (32 steps - 2 steps) / 30
Vocos        generated frames to samples in host memory
host         around the engine: text checks, tokens, the caller's copy
outside      the sum of all these but evaluations
new grid     what a request takes longer when the one before had another number of steps
"""
import statistics

from workload import SIZES, clock_ms, median_ms, recording

NFE = 32


def evaluation(ours, voice, frames, rounds):
    """(ms of one evaluation, ms that the ODE's stage takes besides)"""
    ode = {}
    for nfe in (1, 2, NFE):  # one after the other: by turns each would also compute its time grid anew
        median_ms(ours.request(voice, frames, nfe), rounds)
        ode[nfe] = ours.stages(rounds)["ode"]
    return (ode[NFE] - ode[2]) / (NFE - 2), 2 * ode[1] - ode[2]


def stages_of(ours, voice, samples, frames, rounds):
    mel = median_ms(lambda: ours.engine.mel(samples), rounds)
    slope, once = evaluation(ours, voice, frames, rounds)
    speak, other = (ours.request(voice, frames, nfe) for nfe in (NFE, NFE - 1))
    request = median_ms(speak, rounds)
    stage = ours.stages(rounds)
    by_turns = statistics.median(clock_ms({"same": speak, "other": other}, rounds)["same"])
    outside = {"mel": mel, "prepare": stage["prepare"], "once": once, "Vocos": stage["vocos"],
               "host": request - stage["total"]}
    return {**outside, "outside": sum(outside.values()), "evaluation": slope, f"request, NFE {NFE}": request,
            "new grid": by_turns - request}


def run(bench):
    table, samples = bench.report.growing("f5tts by stage, ms"), recording(bench.rng, 5)
    with bench.engine(max_frames=max(SIZES[s] for s in bench.sizes()), nfe=NFE) as ours:
        voice = ours.voice(samples)
        for size in bench.sizes():
            found = stages_of(ours, voice, samples, SIZES[size], bench.args.rounds)
            table.add({"size": size, **found})
            for stage, ms in found.items():
                bench.report.figure(f"stage {size} {bench.precision} {stage}", ms, "ms")
