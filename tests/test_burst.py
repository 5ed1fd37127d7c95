"""Speech begins and ends without the vocoder's burst: one output of the 36 of tests/burst.py, which is the whole of it."""
import burst
import f5lib


def test_no_burst_at_either_end():
    samples, words, rate = burst.recording("george")
    with f5lib.Engine(f5lib.SHIPPED) as engine, engine.voice(samples, words, rate) as voice:
        ours, exact = (burst.speak(engine, voice, burst.TEXTS[1], 1, 7, e) for e in (0, 1))
    assert max(burst.ends(ours)) <= burst.BAR
    assert ours[0] == ours[-1] == 0 and len(ours) == len(exact)
    assert max(burst.ends(exact)) > burst.BAR, "upstream's samples have one"
