"""flite.py — Debian's flite called in process: text in, samples and the time of every phone and word out.

    voice = Voice("slt")
    said = voice.speak("A plain sentence.", stretch=1.1, pitch=None)
    said.samples   int16 [n] at 16 kHz
    said.phones    [(name, end in seconds)], pauses are "pau"
    said.words     [(begin, end)] in seconds, one for each blank-separated word of the text

Needs libflite1 (flite's command-line program can print phones but neither words nor several texts per start).
"""
import ctypes
from ctypes import POINTER, Structure, c_char_p, c_float, c_int, c_short, c_void_p
from dataclasses import dataclass

import numpy as np

RATE = 16000
SPEAKERS = ("slt", "rms", "awb")  # the statistical voices: one woman (American), two men (American, Scottish)
PITCH = {"slt": 172.0, "rms": 98.0, "awb": 132.0}  # Hz: the mean that each voice was recorded with


class _Wave(Structure):
    _fields_ = [("type", c_char_p), ("rate", c_int), ("n", c_int), ("channels", c_int), ("samples", POINTER(c_short))]


class _Voice(Structure):
    _fields_ = [("name", c_char_p), ("features", c_void_p)]


def _library(directory):
    path = directory + "/" if directory else ""
    lib = ctypes.CDLL(path + "libflite.so.1", ctypes.RTLD_GLOBAL)
    for name, result, arguments in (
        ("flite_init", c_int, []),
        ("flite_synth_text", c_void_p, [c_char_p, c_void_p]),
        ("utt_wave", POINTER(_Wave), [c_void_p]),
        ("utt_relation", c_void_p, [c_void_p, c_char_p]),
        ("relation_head", c_void_p, [c_void_p]),
        ("item_next", c_void_p, [c_void_p]),
        ("item_as", c_void_p, [c_void_p, c_char_p]),
        ("item_daughter", c_void_p, [c_void_p]),
        ("item_last_daughter", c_void_p, [c_void_p]),
        ("item_feat_string", c_char_p, [c_void_p, c_char_p]),
        ("item_feat_float", c_float, [c_void_p, c_char_p]),
        ("ffeature_float", c_float, [c_void_p, c_char_p]),
        ("feat_set_float", None, [c_void_p, c_char_p, c_float]),
        ("delete_utterance", None, [c_void_p]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    lib.flite_init()
    return lib


@dataclass
class Speech:
    samples: np.ndarray
    phones: list
    words: list


class Voice:
    def __init__(self, speaker, directory=None):
        """directory: where the libraries lie, None: the system's."""
        self.lib = _library(directory)
        path = directory + "/" if directory else ""
        for part in ("libflite_usenglish", "libflite_cmulex"):
            ctypes.CDLL(path + part + ".so.1", ctypes.RTLD_GLOBAL)
        register = getattr(ctypes.CDLL(f"{path}libflite_cmu_us_{speaker}.so.1"), f"register_cmu_us_{speaker}")
        register.restype, register.argtypes = POINTER(_Voice), [c_char_p]
        self.voice = register(None)
        self.pitch = PITCH[speaker]

    def speak(self, text, stretch=1.0, pitch=None):
        lib = self.lib
        features = self.voice.contents.features
        lib.feat_set_float(features, b"duration_stretch", stretch)
        lib.feat_set_float(features, b"int_f0_target_mean", pitch or self.pitch)
        utterance = lib.flite_synth_text(text.encode(), ctypes.cast(self.voice, c_void_p))
        if not utterance:
            raise RuntimeError(f"flite cannot speak: {text!r}")
        try:
            wave = lib.utt_wave(utterance).contents
            assert wave.rate == RATE and wave.channels == 1
            samples = np.ctypeslib.as_array(wave.samples, (wave.n,)).copy()
            return Speech(samples, self._phones(utterance), self._words(utterance))
        finally:
            lib.delete_utterance(utterance)

    def _items(self, first):
        while first:
            yield first
            first = self.lib.item_next(first)

    def _head(self, utterance, relation):
        return self.lib.relation_head(self.lib.utt_relation(utterance, relation))

    def _phones(self, utterance):
        lib = self.lib
        return [(lib.item_feat_string(s, b"name").decode(), lib.item_feat_float(s, b"end"))
                for s in self._items(self._head(utterance, b"Segment"))]

    def _words(self, utterance):
        lib, spans = self.lib, []
        for token in self._items(self._head(utterance, b"Token")):
            words = [lib.item_as(w, b"SylStructure") for w in self._items(lib.item_daughter(token))]
            words = [w for w in words if w and lib.item_daughter(w)]
            if not words:
                continue
            first = lib.item_daughter(lib.item_daughter(words[0]))
            last = lib.item_last_daughter(lib.item_last_daughter(words[-1]))
            spans.append((lib.ffeature_float(first, b"R:Segment.p.end"),
                          lib.item_feat_float(lib.item_as(last, b"Segment"), b"end")))
        return spans
