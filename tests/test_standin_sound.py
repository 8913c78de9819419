"""Stand-in corpora: voices, prosody, rooms."""

import sys

import numpy as np
import pytest
from scipy import signal

from amanda.store.errors import AmandaError, InputError
from corpora.standin.sound.prosody import (
    ENVELOPE_HZ,
    Delivery,
    mouth_opening,
    plan_delivery,
    say,
    tilt,
)
from corpora.standin.sound.room import coloured_noise, record, reverberate
from corpora.standin.sound.voice import RATE_HZ, Voice, speak
from corpora.standin.traits import REFERENCE, TRAITS

TEXT = "I never thought that you would say that to me."
VOICE = Voice(name="en-us+m3", pitch=50.0, range=50.0, rate=172.0)
FLAT = {"pitch": 0.0, "range": 0.0, "rate": 0.0, "gain_db": 0.0, "tilt_db": 0.0}


def level_db(sound):
    return 10 * np.log10(np.mean(np.square(sound)) + 1e-12)


def median_f0_hz(sound):
    """By autocorrelation in frames of 46 ms: an oracle that knows nothing of espeak-ng."""
    found = []
    for start in range(0, len(sound) - 1024, 512):
        frame = sound[start : start + 1024] * np.hanning(1024)
        if np.std(frame) < 0.01:
            continue
        power = np.abs(np.fft.rfft(frame, 2048)) ** 2
        r = np.fft.irfft(power)[:400]
        lag = int(np.argmax(r[60:])) + 60
        if r[lag] > 0.4 * r[0]:
            found.append(RATE_HZ / lag)
    return float(np.median(found))


def test_speech_does_not_depend_on_what_was_said_before():
    first = speak(TEXT, VOICE, seed=5)
    speak(
        "Something else entirely.", Voice(name="en+f3", pitch=70.0, range=90.0, rate=200.0), seed=6
    )
    np.testing.assert_array_equal(speak(TEXT, VOICE, seed=5), first)
    assert 1.2 < len(first) / RATE_HZ < 4


def test_voices_differ_and_female_ones_are_higher():
    female = speak(TEXT, Voice(name="en-us+f2", pitch=50.0, range=50.0, rate=172.0), seed=0)
    assert median_f0_hz(female) > 1.4 * median_f0_hz(speak(TEXT, VOICE, seed=0))


@pytest.mark.parametrize("traits", [REFERENCE, *TRAITS.values()])
def test_every_voice_of_the_table_speaks(traits):
    for language, female, male in traits.acoustic.voices:
        plain = speak("Hello.", Voice(name=language, pitch=50.0, range=50.0, rate=172.0), seed=0)
        for variant in (*female, *male):
            name = f"{language}+{variant}"
            sound = speak("Hello.", Voice(name=name, pitch=50.0, range=50.0, rate=172.0), seed=0)
            # An unknown variant would fall back to the plain voice without a word.
            assert len(sound) != len(plain) or not np.array_equal(sound, plain), name


def test_an_unknown_voice_is_told():
    with pytest.raises(AmandaError, match="no voice 'xx-nowhere'"):
        speak(TEXT, Voice(name="xx-nowhere", pitch=50.0, range=50.0, rate=172.0), seed=0)


def test_without_espeak_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(InputError, match=r"pip install 'amanda\[standin\]'"):
        speak(TEXT, VOICE, seed=0)


def test_prosody_moves_what_it_says():
    plain = say(TEXT, VOICE, Delivery(**FLAT), -26.0, 0)
    high = say(TEXT, VOICE, Delivery(**{**FLAT, "pitch": 25.0}), -26.0, 0)
    slow = say(TEXT, VOICE, Delivery(**{**FLAT, "rate": -40.0}), -26.0, 0)
    loud = say(TEXT, VOICE, Delivery(**{**FLAT, "gain_db": 6.0}), -26.0, 0)
    assert median_f0_hz(high) > 1.15 * median_f0_hz(plain)
    assert len(slow) > 1.15 * len(plain)
    assert level_db(plain) == pytest.approx(-26, abs=0.5)
    assert level_db(loud) == pytest.approx(-20, abs=0.8)


def test_tilt_by_tones():
    time_s = np.arange(RATE_HZ) / RATE_HZ
    low, high = (np.sin(2 * np.pi * f * time_s).astype(np.float32) for f in (150.0, 8000.0))
    assert level_db(tilt(low, 6.0)) - level_db(low) == pytest.approx(0, abs=0.3)
    assert level_db(tilt(high, 6.0)) - level_db(high) == pytest.approx(6, abs=0.3)


def test_delivery_has_the_mean_of_the_table():
    rng = np.random.default_rng(0)
    traits = TRAITS["ie"].acoustic
    pitch = np.mean([plan_delivery(traits, "happy", 0.5, rng).pitch for _ in range(4000)])
    assert pitch == pytest.approx(0.5 * traits.prosody["happy"]["pitch"], abs=0.3)


def test_the_mouth_follows_the_sound():
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    syllables = np.clip(np.sin(2 * np.pi * 2 * time_s), 0, 1)
    sound = (0.3 * syllables * np.sin(2 * np.pi * 200 * time_s)).astype(np.float32)
    opening = mouth_opening(sound, RATE_HZ)
    middle = (np.arange(len(opening)) + 0.5) / ENVELOPE_HZ
    expected = np.interp(middle, time_s, syllables)
    assert np.corrcoef(opening, expected)[0, 1] > 0.98
    assert opening.min() >= 0
    assert opening.max() == 1


def test_reverberation_decays_by_60_db_in_its_time():
    click = np.zeros(RATE_HZ, np.float32)
    click[0] = 1
    response = reverberate(click, RATE_HZ, 0.5, np.random.default_rng(0))
    energy = np.cumsum(response[::-1] ** 2)[::-1]  # Schroeder's backward integral
    decay_db = 10 * np.log10(energy[1:] / energy[1])
    time_s = np.arange(len(decay_db)) / RATE_HZ
    early = (decay_db < -5) & (decay_db > -25)
    slope = np.polyfit(time_s[early], decay_db[early], 1)[0]
    assert -60 / slope == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize(("colour", "slope_db_octave"), [(0.0, 0.0), (1.0, -3.0), (2.0, -6.0)])
def test_noise_has_its_colour(colour, slope_db_octave):
    noise = coloured_noise(1 << 17, colour, np.random.default_rng(0))
    assert np.std(noise) == pytest.approx(1)
    f, power = signal.welch(noise, RATE_HZ, nperseg=2048)
    keep = (f > 200) & (f < 8000)
    slope = np.polyfit(np.log2(f[keep]), 10 * np.log10(power[keep]), 1)[0]
    assert slope == pytest.approx(slope_db_octave, abs=0.3)


def test_the_microphone_has_its_noise_and_band():
    traits = TRAITS["msp"].acoustic
    silence = np.zeros(3 * RATE_HZ, np.float32)
    noise = record(silence, RATE_HZ, traits, np.random.default_rng(0))
    f, power = signal.welch(noise, RATE_HZ, nperseg=4096)
    inside = power[(f > 500) & (f < 3000)].mean()
    assert power[f > 1.8 * traits.high_hz].mean() < 0.03 * inside
    assert power[f < 0.3 * traits.low_hz].mean() < 0.3 * inside
    assert level_db(noise) < traits.level_db - traits.snr_db + 0.5
