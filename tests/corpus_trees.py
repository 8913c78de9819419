"""Small corpora in the real layouts, with every known defect, for the readers' tests.

Media files are empty: readers only look whether they are there.
"""

from pathlib import Path

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
