"""Small corpora in the real layouts, with every known defect, for the readers' tests.

Media files are empty: readers only look whether they are there.
"""

from pathlib import Path

import h5py
import numpy as np

IE_LABELS = """\
% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral; Happiness;\t()
C-E4:\tExcited;\t(laughs; loudly)
C-F1:\tAnger;\t()
A-E3:\tval 3; act 2; dom  2;\t()

[10.0100 - 11.3925]\tSes01F_impro01_M000\texc\t[nan, 3.0000, 4.0000]
C-E2:\tHappiness;\t()
C-E4:\tBored;\t()

[20.0000 - 22.0000]\tSes01F_impro01_F001\txxx\t[2.0000, 2.0000, 2.0000]
[23.0000 - 23.0000]\tSes01F_impro01_F002\tsad\t[2.0000, 2.0000, 2.0000]
[24.0000 - 25.0000]\tSes01F_impro01_M001\tang\t[2.0000, 2.0000, 2.0000]
[26.0000 - 27.0000]\tSes01F_impro01_M002\thap\t[2.0000, 2.0000, 2.0000]
[28.0000 - 29.0000]\tSes01F_impro01_M002\thap\t[2.0000, 2.0000, 2.0000]
[a broken line
[30.0000 - 31.0000]\t../../../etc/passwd\thap\t[2.0000, 2.0000, 2.0000]
"""
IE_TRANSCRIPT = """\
Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.
Ses01F_impro01_M000 [010.0100-011.3925]:   Do you  have your forms?
M: [LAUGHTER]
Ses01F_impro01_M002 [026.0000-027.0000]:
"""


def write(path: Path, text: str | bytes = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def ie_tree(root: Path) -> Path:
    """Session 1 with one broken dialogue, and session 2 with a scripted one without transcript."""
    session = root / "Session1"
    write(session / "dialog/EmoEvaluation/Ses01F_impro01.txt", IE_LABELS)
    write(session / "dialog/EmoEvaluation/._Ses01F_impro01.txt", b"\0\1\2 macOS")
    write(session / "dialog/EmoEvaluation/Attribute/Ses01F_impro01_e1.txt", "[9 - 9]\tno\tno\t[]")
    write(session / "dialog/transcriptions/Ses01F_impro01.txt", IE_TRANSCRIPT)
    write(session / "dialog/avi/DivX/Ses01F_impro01.avi")
    for turn in ("F000", "M000", "F001", "F002", "M002"):
        write(session / f"sentences/wav/Ses01F_impro01/Ses01F_impro01_{turn}.wav")
    session = root / "Session2"
    write(
        session / "dialog/EmoEvaluation/Ses02M_script01_1.txt",
        "[1.5 - 2.5]\tSes02M_script01_1_M000\tang\t[1, 2, 3]\r\n"
        "[3.5 - 4.5]\tSes02M_script01_1_F000\tsad\t[1, 2, 3]\r\n"
        "[5.5 - 6.5]\tSes02M_script01_1_F001\tfru\t[1, 2, 3]\r\n",
    )
    write(session / "sentences/wav/Ses02M_script01_1/Ses02M_script01_1_M000.wav")
    (root / "Session3/dialog").mkdir(parents=True)
    return root


MSP_LABELS = """\
UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2.400000; V:3.000000; D:3.200000 ; N:3.800000;
WID_1; Neutral; Neutral; A:2; V:3; D:3; N:4;
WID_2-b; Happy; Happy, Excited (a; b); A:2; V:3; D:3; N:4;
WID_2-b; Happy; Happy, Excited (a; b); A:2; V:3; D:3; N:4;
WID_3; Other; Surprised; A:NaN; V:3; D:3; N:4;

UTD-IMPROV-S01A-F01-S-MF02.avi; A; A:1.5; V:1.5; D:NaN ; N:3;
WID_1; Angry; Angry; A:2; V:3; D:3; N:4;

UTD-IMPROV-S20H-M06-R-FF11.avi; H; A:1.5; V:1.5; D:2; N:3;
UTD-IMPROV-S20H-M06-T-MM01.avi; S; A:1.5; V:1.5; D:2; N:3;
UTD-IMPROV-S20H-M06-T-MM02.avi; X; A:1.5; V:1.5; D:2; N:3;
UTD-IMPROV-S20H-M06-T-MM03.avi; S; A:high; V:1.5; D:2; N:3;
UTD-IMPROV-../../../etc/passwd.avi; S; A:1; V:1.5; D:2; N:3;
UTD-IMPROV-S20H-M06-T-MM04.avi; S; A:1.5; V:1.5; D:2; N:3;
"""
MSP_MEDIA = {
    "MSP-IMPROV-S01A-F01-P-FM01": "session1/S01A/P",
    "MSP-IMPROV-S01A-F01-S-MF02": "session1/S01A/S",
    "MSP-IMPROV-S20H-M06-R-FF11": "session6/S20H/R",
    "MSP-IMPROV-S20H-M06-T-MM01": "session6/S20H/T",
    "MSP-IMPROV-S20H-M06-T-MM02": "session6/S20H/T",
    "MSP-IMPROV-S20H-M06-T-MM03": "session6/S20H/T",
}


def msp_tree(root: Path, *, label_file: str = "Evalution.txt", apart: bool = False) -> Path:
    """Two sessions; `apart` puts sound under Audio/ and pictures under Video/."""
    write(root / label_file, MSP_LABELS)
    for name, folder in MSP_MEDIA.items():
        write(root / ("Audio" if apart else ".") / folder / f"{name}.wav")
        if not name.endswith("FF11"):
            write(root / ("Video" if apart else ".") / folder / f"{name}.avi")
        write(root / f"All_human_transcriptions/{name}.txt", f"Words of\r\n {name[-4:]}. \n")
    write(root / "All_human_transcriptions/MSP-IMPROV-S01A-F01-S-MF02.txt", "")
    (root / "All_human_transcriptions/MSP-IMPROV-S20H-M06-T-MM01.txt").unlink()
    return root


MELD_HEADER = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,"
    "StartTime,EndTime"
)
MELD_TRAIN = f"""\
{MELD_HEADER}
1,"Oh, \x92kay, ""really""?",Chandler,neutral,neutral,0,0,8,21,"00:16:16,059","00:16:21,731"
2,You must’ve had it.,Ross,joy,positive,0,1,8,21,"0:16:21,940","0:16:23,442"
3,Itâ€™s â€œhimâ€\x9d,The Interviewer,surprise,positive,0,2,8,21,"00:16:23,442","00:16:26,389"
4,No clip here.,Ross,anger,negative,0,3,8,21,"00:16:26,820","00:16:29,572"
6,A broken "quote,Ross,anger,negative,0,4,8,21,"00:16:26,820","00:16:29,572"
7,Too long,Ross,sadness,negative,1,0,8,21,"00:16:00,000","00:21:04,940"
8,lost \ufffd,Ross,anger,negative,1,1,8,21,"00:16:00,000","00:16:00,000"
9,Path,Ross,anger,negative,../../1,2,8,21,"00:16:00,000","00:16:01,000"
10,Short row,Ross,anger
"""
MELD_TEST = (
    MELD_HEADER.encode()
    + b"\r\n1,Bytes\x92 of \xe9t\xe9.,Mark,joy,positive,0,0,3,19,0:14:38,0:14:40\r\n"
    + b'2,Twice.,Rachel,neutral,neutral,0,1,3,19,"00:14:42,380","00:14:46,301"\r\n'
)


def meld_tree(root: Path, *, nested: bool = False) -> Path:
    """Two parts and their clips, no dev; `nested` puts each in a folder of its own."""
    train, test = ("train/", "test/") if nested else ("", "")
    write(root / f"{train}train_sent_emo.csv", MELD_TRAIN)
    write(root / f"{test}test_sent_emo.csv", MELD_TEST)
    for name in ("dia0_utt0", "dia0_utt1", "dia0_utt2", "dia1_utt0", "dia1_utt1", "dia66_utt9"):
        write(root / f"{train}train_splits/{name}.mp4")
    write(root / f"{train}train_splits/._dia0_utt3.mp4", b"\0 macOS")
    for name in ("dia0_utt0", "dia0_utt1", "final_videos_testdia0_utt1"):
        write(root / f"{test}output_repeated_splits_test/{name}.mp4")
    return root


MOSEI_TRANSCRIPT = """\
_0ab_cD-___0___-0.4___4.1___First words.
_0ab_cD-___2___8.0___14.7___Third, _____ with a blank.
_0ab_cD-___1___3.4___9.0___Second words.
_0ab_cD-___3___14.0___20.0___Nobody rated this.
not a line
"""
# Seven scores a segment: sentiment, happy, sad, anger, surprise, disgust, fear.
Times = tuple[float, float]
MOSEI_SEGMENTS: dict[str, list[tuple[Times, tuple[float, ...]]]] = {
    "_0ab_cD-": [
        ((3.4, 9.0), (1.0, 2 / 3, 0, 0, 0, 0, 1 / 3)),
        ((8.0, 14.7), (-2.0, 0, 1, 1, 0, 0, 0)),
        ((-0.4, 4.1), (0, 0, 0, 0, 0, 0, 0)),
        ((50.0, 60.0), (-1 / 3, 0, 0, 0, 0, 0, 0)),
        ((6.0, 5.0), (-1.0, 0, 1, 0, 0, 0, 0)),
    ],
    "100178": [((0.0, 3.0), (-1.0, 0, 0, 2, 0, 0, 0))],
    "no_media_1": [((0.0, 3.0), (-1.0, 0, 0, 0, 0, 0, 1))],
}
MOSEI_CSV = """\
id,start,end,sentiment,happy,sad,anger,surprise,disgust,fear
_0ab_cD-[0],3.4,9.0,1,0.666667,0,0,0,0,0.333333
_0ab_cD-[1],8.0,14.7,-2,0,1,1,0,0,0
_0ab_cD-[2],-0.4,4.1,0,0,0,0,0,0,0
_0ab_cD-_1,,,1,0.666667,0,0,0,0,0.333333
_0ab_cD-_7,,,1,0,1,0,0,0,0
100178,0,3,-1,0,0,2,0,0,0
100178,0,3,-1,0,0,2,0,0,nan
../../etc/passwd,0,3,-1,0,0,2,0,0,0
100178,"0,3,-1,0,0,2,0,0,0
100178,0,3,-1,-1,0,2,0,0,0
"""


def mosei_tree(root: Path, *, labels: str = "csd", raw: bool = True) -> Path:
    """Two videos with one known by its sound alone; `labels` is csd, aligned or csv."""
    place = "Raw/" if raw else ""
    write(root / f"{place}Videos/Full/Combined/_0ab_cD-.mp4")
    for name in ("_0ab_cD-", "100178"):
        write(root / f"{place}Audio/Full/WAV_16000/{name}.wav")
    write(root / f"{place}Transcript/Segmented/Combined/_0ab_cD-.txt", MOSEI_TRANSCRIPT)
    if labels == "csv":
        write(root / "labels.csv", MOSEI_CSV)
    else:
        write_csd(root / "CMU_MOSEI_Labels.csd", aligned=labels == "aligned")
    return root


def write_csd(path: Path, *, aligned: bool = False) -> Path:
    """A computational sequence; `aligned` gives each segment a group of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group("All Labels/data")
        file["All Labels/metadata/alignment compatible"] = ["{}"]
        for video, segments in MOSEI_SEGMENTS.items():
            parts = [[s] for s in segments] if aligned else [segments]
            for n, part in enumerate(parts):
                group = data.create_group(f"{video}[{n}]" if aligned else video)
                group["intervals"] = np.array([times for times, _ in part])
                group["features"] = np.array([scores for _, scores in part], np.float32)
    return path


FOLDS = {"train": "_0ab_cD-\n\n", "valid": "somebody-else\n", "test": "100178\n"}


def write_folds(root: Path, *, sdk: bool = False) -> Path:
    """The official folds, as three lists or as the SDK's program."""
    if sdk:
        lists = {name: repr(text.split()) for name, text in FOLDS.items()}
        program = "\n".join(f"standard_{name}_fold = {ids}" for name, ids in lists.items())
        write(root / "cmu_mosei_std_folds.py", f"import os  # never run\n{program}\n")
    else:
        for name, text in FOLDS.items():
            write(root / f"folds/{name}.txt", text)
    return root
