"""f5tts — F5-TTS speech synthesis: a few seconds of a voice, what it says there, new text -> 24 kHz speech.

    import f5tts

    with f5tts.Model("F5TTS_v1_Base") as model:     # Model() has a small voice that comes with the package
        voice = model.voice("me.wav", "What I say there.")
        speech = model.speak("What I never said.", voice)
        speech.save("new.wav")                      # speech.samples: float32 [n], speech.rate: 24000
        for chunk in model.stream("A long text.", voice):
            chunk.samples                           # as soon as it is made

`speak_async` and `stream_async` are the same for asyncio; any number of threads may use one model. Failures are F5Errors,
and ValueError, OSError or MemoryError at once, with the library's message. `f5tts.ops` has the kernels by themselves,
`f5tts.compat.F5TTS` is for programs that were written for upstream's `f5_tts.api.F5TTS`.
"""
from . import _abi
from ._errors import (ArgumentError, Cancelled, DeviceError, F5Error, F5Warning, FileError, FormatError, LimitError, OutOfMemory,
                      ShapeError, UnsupportedError)
from .model import Model, SampleRequest
from .options import SampleOptions, SpeakOptions
from .recording import SAMPLE_RATE, loudness, read, remove_silence, write
from .speech import FRAMES_PER_SECOND, MEL_BANDS, Chunk, Mark, Said, Speech, spectrogram
from .text_stream import TextStream
from .voice import Advice, Lexicon, Voice, check_voice

__version__: str = _abi.VERSION
__all__ = ["Advice", "ArgumentError", "Cancelled", "Chunk", "DeviceError", "F5Error", "F5Warning", "FRAMES_PER_SECOND",
           "FileError", "FormatError", "Lexicon", "LimitError", "MEL_BANDS", "Mark", "Model", "OutOfMemory", "SAMPLE_RATE",
           "Said", "SampleOptions", "SampleRequest", "ShapeError", "SpeakOptions", "Speech", "TextStream", "UnsupportedError",
           "Voice", "check_voice", "loudness", "read", "remove_silence", "spectrogram", "write"]
