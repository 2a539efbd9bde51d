"""expert.decide: the whole ledger and the guide made from it; and the script that reads the course's own verdicts."""

from __future__ import annotations

import csv
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from expert import checks, data_folder, decide, ledger, predict, verdict
from expert.claims import CLAIMS

SCOPE = "mechanism shown here"
UNDECIDED = "not decidable at this size"
OUTCOMES = {True: "supported", False: "not supported", None: "not decided"}
COURSE = {("C14", "00"): "supported", ("C14", "05"): "supported", ("C37", "05"): "not supported"}


@pytest.fixture(autouse=True)
def own_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of its own for each test, in a folder that is not there yet."""
    path = tmp_path / "state" / "ledger.json"
    monkeypatch.setenv("EXPERT_LEDGER", str(path))
    return path


@pytest.fixture(autouse=True)
def course_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The course's verdicts, few enough to see what comes of each."""
    path = tmp_path / "data" / "measurements" / "ledger.csv"
    path.parent.mkdir(parents=True)
    lines = [f"{c},{lesson},0.5,{said},{SCOPE},a note,nb" for (c, lesson), said in COURSE.items()]
    path.write_text("\n".join(["claim,lesson,measured,verdict,scope,note,notebook", *lines, ""]), encoding="utf-8")
    monkeypatch.setenv("EXPERT_DATA", str(tmp_path / "data"))
    return path


def keep(claim: str, supported: bool | None, lesson: str, measured: object = 1.0) -> None:
    """A verdict of the learner's."""
    verdict(
        claim, measured=measured, supported=supported, scope=UNDECIDED if supported is None else SCOPE, lesson=lesson
    )


def of(claim: str) -> list[dict[str, str]]:
    return [row for row in decide.whole_ledger() if row["claim"] == claim]


# --- the whole ledger --------------------------------------------------------------------------------------------


def test_each_claim_is_there_in_order_under_a_title() -> None:
    keep("C30", True, "09")
    whole = decide.whole_ledger()
    assert whole.title == "The whole ledger" and isinstance(whole, checks.Table)
    assert {row["claim"] for row in whole} == set(CLAIMS)
    keys = [(row["claim"], row["lesson"]) for row in whole]
    assert keys == sorted(keys) and len(set(keys)) == len(keys) == len(CLAIMS) + 1  # C14 stands in two lessons
    assert all(row["about"] == CLAIMS[row["claim"]] for row in whole)
    assert repr(whole).splitlines()[0].split()[:3] == ["claim", "lesson", "about"]


def test_own_results_come_before_the_courses() -> None:
    keep("C14", False, "05", measured=0.25)
    first, second = of("C14")
    assert (first["lesson"], first["verdict"], first["whose"]) == ("00", "supported", "the course's")
    assert (second["lesson"], second["verdict"], second["whose"]) == ("05", "not supported", "yours")
    assert second["measured"] == "0.25" and first["measured"] == "0.5" and first["scope"] == SCOPE


def test_what_nobody_measured_is_not_yet() -> None:
    (row,) = of("C19")
    assert row["measured"] == row["verdict"] == "not yet" and row["prediction"] == "no prediction"
    assert row["lesson"] == row["scope"] == row["whose"] == ""


def test_predictions_are_kept() -> None:
    predict("C14", 0.3, lesson="05")  # the course's result stands in
    predict("C37", 0.6)  # without a lesson: it goes for each, as in verdict()
    predict("C34", 0.7, lesson="09")  # nobody has measured it
    predict("C30", 12)
    predict("C38", None, lesson="09")
    assert [(row["prediction"], row["whose"]) for row in of("C14")] == [
        ("no prediction", "the course's"),
        ("0.3", "the course's"),
    ]
    assert [(row["lesson"], row["prediction"], row["whose"]) for row in of("C37")] == [("05", "0.6", "the course's")]
    assert [(row["lesson"], row["prediction"], row["verdict"]) for row in of("C34")] == [("09", "0.7", "not yet")]
    assert [(row["lesson"], row["prediction"], row["whose"]) for row in of("C30")] == [("", "12", "")]
    assert [row["lesson"] for row in of("C38")] == [""]  # no prediction is nothing to keep
    keep("C34", True, "09")
    assert [(row["prediction"], row["verdict"], row["whose"]) for row in of("C34")] == [("0.7", "supported", "yours")]


def test_a_prediction_beside_a_result_of_another_lesson_is_kept() -> None:
    predict("C37", 0.6, lesson="09")
    assert [(row["lesson"], row["prediction"], row["verdict"]) for row in of("C37")] == [
        ("05", "no prediction", "not supported"),
        ("09", "0.6", "not yet"),
    ]


def test_another_ledger_may_be_given(own_ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep("C19", True, "10")
    handed_in = ledger(path=own_ledger)
    monkeypatch.setenv("EXPERT_LEDGER", str(own_ledger.with_name("other.json")))
    found = {row["claim"]: row["whose"] for row in decide.whole_ledger(handed_in)}
    assert (found["C19"], found["C37"], found["C20"]) == ("yours", "the course's", "")
    assert {row["claim"]: row["whose"] for row in decide.whole_ledger([])}["C19"] == ""
    assert handed_in == ledger(path=own_ledger)  # what was given is left as it was


# --- the course's own results ------------------------------------------------------------------------------------


def test_without_the_courses_file_the_error_says_what_makes_it(course_file: Path) -> None:
    course_file.unlink()
    with pytest.raises(FileNotFoundError, match="reference_ledger.py") as error:
        decide.whole_ledger()
    assert str(course_file) in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("claim,lesson,measured,scope\nC14,00,0,computed\n", "came claim, lesson, measured, scope"),
        ("claim;lesson;measured;verdict;scope\n", "came claim;lesson;measured;verdict;scope"),
        ("", "came nothing"),
    ],
    ids=["a column is missing", "semicolons", "empty"],
)
def test_other_columns_are_told(text: str, says: str, course_file: Path) -> None:
    course_file.write_text(text, encoding="utf-8")
    with pytest.raises(
        ValueError, match=re.escape("expected the columns claim, lesson, measured, verdict, scope")
    ) as e:
        decide.reference()
    assert says in str(e.value) and str(course_file) in str(e.value)


@pytest.mark.parametrize(
    "line",
    ["C14,00,0", "C14,00,0,yes,computed", "C99,00,0,supported,computed", "C14,00,0,supported,computed,more"],
    ids=["cut off", "no verdict", "no claim", "a cell too many"],
)
def test_a_bad_line_is_told(line: str, course_file: Path) -> None:
    course_file.write_text(f"claim,lesson,measured,verdict,scope\nC13,03,1,supported,computed\n{line}\n")
    with pytest.raises(ValueError, match="line 3: expected a claim from C01 to C45") as error:
        decide.reference()
    assert "supported, not supported, not decided; came C" in str(error.value)


def test_the_verdicts_are_those_that_a_lesson_can_give() -> None:
    for claim, supported in zip(CLAIMS, OUTCOMES, strict=False):
        keep(claim, supported, "09")
    assert {row["verdict"] for row in ledger()} == set(decide.VERDICTS)


# --- the guide ---------------------------------------------------------------------------------------------------


def said(*verdicts: tuple[str, str, str]) -> list[dict[str, str]]:
    """Rows of a ledger, as far as the guide looks: claim, lesson, verdict."""
    return [dict(zip(("claim", "lesson", "verdict"), one, strict=True)) for one in verdicts]


def advice_on(case: str, guide: str) -> tuple[str, str]:
    """The advice on a case, its folded lines joined again, and the verdicts in parentheses."""
    for part in re.split(r"^- ", guide, flags=re.M)[1:]:
        words, because = " ".join(part.split()).rsplit(" (", 1)
        if words.startswith(f"{case}: "):
            return words.removeprefix(f"{case}: "), f"({because}"
    raise AssertionError(f"{case!r} is not in the guide")


def with_all(verdict: str, **other: str) -> str:
    return decide.guide(said(*((claim, "09", other.get(claim, verdict)) for claim in CLAIMS)))


each_advice = pytest.mark.parametrize("advice", decide.ADVICE, ids=lambda advice: "-".join(advice.claims))


def test_advice_rests_on_claims_that_there_are() -> None:
    for advice in decide.ADVICE:
        assert advice.claims and set(advice.claims) <= set(CLAIMS), advice.case
        assert advice.do != advice.otherwise and advice.do.endswith(".") and advice.otherwise.endswith(".")
    assert len({advice.case for advice in decide.ADVICE}) == len(decide.ADVICE)


@each_advice
def test_supported_claims_give_the_advice(advice: decide.Advice) -> None:
    because = "(" + ", ".join(f"{claim} supported" for claim in advice.claims) + ")"
    assert advice_on(advice.case, with_all("supported")) == (advice.do, because)


@each_advice
def test_one_claim_that_is_not_supported_turns_it(advice: decide.Advice) -> None:
    for claim in advice.claims:
        for rest in ("supported", "not decided", "not yet"):
            words, because = advice_on(advice.case, with_all(rest, **{claim: "not supported"}))
            assert words == advice.otherwise and f"{claim} not supported" in because


@each_advice
@pytest.mark.parametrize("open_one", ["not decided", "not yet"])
def test_one_claim_that_is_open_leaves_it_open(advice: decide.Advice, open_one: str) -> None:
    for claim in advice.claims:
        words, because = advice_on(advice.case, with_all("supported", **{claim: open_one}))
        assert words == f"not settled here. If {claim} holds: {advice.do}" and f"{claim} {open_one}" in because


def test_all_that_is_open_is_named() -> None:
    case = decide.ADVICE[1]
    assert len(case.claims) == 3
    nothing = decide.guide([])
    assert "If C14, C34 and C30 hold: " in advice_on(case.case, nothing)[0]
    assert "If C34 and C30 hold: " in advice_on(case.case, decide.guide(said(("C14", "05", "supported"))))[0]
    assert nothing.count("not yet") == sum(len(advice.claims) for advice in decide.ADVICE)


def test_the_latest_lesson_counts() -> None:
    case = next(advice for advice in decide.ADVICE if advice.claims == ("C37",))
    for early, late, words in (
        ("not supported", "supported", case.do),
        ("supported", "not supported", case.otherwise),
        ("supported", "not decided", f"not settled here. If C37 holds: {case.do}"),
        ("supported", "not yet", case.do),  # a lesson that was not run takes nothing back
    ):
        rows = said(("C37", "05", early), ("C37", "09", late))
        for some in (rows, rows[::-1]):
            assert advice_on(case.case, decide.guide(some))[0] == words


def test_the_guide_follows_the_learners_ledger() -> None:
    case = next(advice for advice in decide.ADVICE if advice.claims == ("C37",))
    assert advice_on(case.case, decide.guide()) == (case.otherwise, "(C37 not supported)")  # the course's
    keep("C37", True, "09")
    assert advice_on(case.case, decide.guide()) == (case.do, "(C37 supported)")
    assert decide.guide() == decide.guide(decide.whole_ledger())


def test_the_guide_fits_the_page() -> None:
    for verdict_on_all in ("supported", "not supported", "not decided"):
        assert max(map(len, with_all(verdict_on_all).splitlines())) <= checks.WIDTH


# --- the script that reads the course's verdicts -----------------------------------------------------------------


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tests/benchmarks/reference_ledger.py; it finds what lies beside it, as when it is run."""
    folder = Path(__file__).parent / "benchmarks"
    monkeypatch.syspath_prepend(folder)
    spec = importlib.util.spec_from_file_location("benchmark_reference_ledger", folder / "reference_ledger.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed(capsys: pytest.CaptureFixture[str], claim: str = "C14", supported: bool | None = True, **more) -> str:
    """What ``verdict`` prints, as a cell of a lesson would hold it."""
    scope = UNDECIDED if supported is None else SCOPE
    capsys.readouterr()
    verdict(claim, **({"measured": 0.5, "supported": supported, "scope": scope} | more))
    return capsys.readouterr().out


LONG = "54 questions of five kinds; " * 6 + "Scope: the company; Note: well-known words of 40 to 45 Nm, and C14 too."


@pytest.mark.parametrize(
    ("measured", "shown"),
    [
        (0.0, "0"),
        (1 / 3, "0.3333"),
        (12, "12"),
        ("Phi3ForCausalLM", "Phi3ForCausalLM"),
        (True, "True"),
        ({"search": 1.0, "group": 0.25}, "search: 1, group: 0.25"),
        ({f"kind number {n}": n / 7 for n in range(9)}, None),
    ],
)
@pytest.mark.parametrize("supported", OUTCOMES)
def test_a_printed_verdict_is_read(
    measured: object, shown: str | None, supported: bool | None, script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, supported=supported, measured=measured, note=LONG, lesson="05")
    (found,) = script.verdicts(text)
    (kept,) = ledger()
    assert found["claim"] == "C14" and found["note"] == LONG and found["predicted"] == "no prediction"
    assert {name: found[name] for name in ("measured", "verdict", "scope")} == {
        name: kept[name] for name in ("measured", "verdict", "scope")
    }
    assert found["verdict"] == OUTCOMES[supported] and shown in (None, found["measured"])


def test_notes_of_one_line_several_and_none(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    for note, read in (("", None), ("short", "short"), ("one\ntwo", "one two"), ("one\n\n" + LONG, "one " + LONG)):
        (found,) = script.verdicts(printed(capsys, note=note))
        assert found.get("note") == read and found["scope"] == SCOPE


def test_predictions_given_late_and_not_given(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    predict("C14", 0.3, lesson="05")
    before = capsys.readouterr().out
    assert script.verdicts(before) == []  # a prediction alone is no verdict
    after = printed(capsys, lesson="05", note="as measured")
    (found,) = script.verdicts(before + after)
    assert (found["predicted"], found["note"]) == ("0.3", "as measured")
    predict("C14", 0.9, lesson="05")
    beware = capsys.readouterr().out
    assert "Beware:" in beware
    (found,) = script.verdicts(beware + printed(capsys, supported=False, lesson="05"))
    assert (found["predicted"], found["verdict"], found.get("note")) == ("0.3", "not supported", None)
    predict("C13", 7, lesson="05")
    assert [one["claim"] for one in script.verdicts(printed(capsys, "C13", lesson="05"))] == ["C13"]


def test_what_stands_around_a_verdict_is_left_out(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = printed(capsys, note="short"), printed(capsys, "C37", False, note=LONG)
    text = f"  Note:      before\n{' ' * 20}and deeper\n{first}  a table\n{' ' * 20}a cell\n\n{second}said: C13  no\n"
    predict("C13", 0.2)
    text += f"{capsys.readouterr().out}{ledger()!r}\n{decide.guide()}\n"
    assert [(one["claim"], one["note"]) for one in script.verdicts(text)] == [("C14", "short"), ("C37", LONG)]


def notebook(folder: Path, name: str, *outputs: str | list, source: str = "verdict(\n    ...\n)") -> Path:
    """A notebook with a code cell for each output: a text, or a list of (stream, text)."""
    cells = [nbformat.v4.new_markdown_cell("verdict(")]
    for pieces in outputs:
        pieces = [("stdout", pieces)] if isinstance(pieces, str) else pieces
        streams = [nbformat.v4.new_output("stream", name=stream, text=text) for stream, text in pieces]
        cells.append(nbformat.v4.new_code_cell(source, outputs=streams))
    folder.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / name)
    return folder / name


@pytest.fixture
def solutions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    folder = tmp_path / "solutions"
    first, again = printed(capsys, supported=False, note="first"), printed(capsys, note="again")
    notebook(folder, "05_answers.ipynb", first, printed(capsys, "C37", None, note=LONG), again)
    notebook(folder, "00_start.ipynb", printed(capsys, measured=0.0))
    notebook(folder, "09_decide.ipynb", printed(capsys, "C34"))
    notebook(folder, "draft.ipynb", printed(capsys, "C35"))
    return folder


def test_the_last_verdict_of_a_notebook_counts(script: ModuleType, solutions: Path) -> None:
    found = script.rows(solutions)
    assert [(row["claim"], row["lesson"], row["verdict"], row["note"]) for row in found] == [
        ("C14", "00", "supported", ""),
        ("C14", "05", "supported", "again"),
        ("C37", "05", "not decided", LONG),
    ]
    assert found[0]["notebook"] == "solutions/00_start.ipynb" and set(found[0]) == set(script.FIELDS)


def test_only_what_was_printed_counts(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A progress bar may fall between two pieces of one line."""
    text = printed(capsys, note=LONG)
    cut = text.index("Measured") + 4
    pieces = [("stdout", text[:cut]), ("stderr", "50 %|###   |\n"), ("stdout", text[cut:])]
    path = notebook(tmp_path / "some", "03_ask.ipynb", pieces)
    assert [(row["measured"], row["note"]) for row in script.rows(path.parent)] == [("0.5", LONG)]


def test_written_and_checked(
    script: ModuleType, solutions: Path, course_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--notebooks", str(solutions), "--table", str(course_file)]
    stale = course_file.read_bytes()
    assert script.main([*arguments, "--check"]) == 1
    assert "ledger.csv is stale: run reference_ledger.py" in capsys.readouterr().out
    assert course_file.read_bytes() == stale
    assert script.main(arguments) == 0 and capsys.readouterr().out == "3 verdicts\n"
    assert [path.name for path in course_file.parent.iterdir()] == ["ledger.csv"]
    assert script.main([*arguments, "--check"]) == 0 and capsys.readouterr().out == "up to date\n"
    assert [(row["claim"], row["lesson"]) for row in decide.reference()] == [
        ("C14", "00"),
        ("C14", "05"),
        ("C37", "05"),
    ]
    notebook(solutions, "00_start.ipynb", printed(capsys, measured=0.25))
    assert script.main([*arguments, "--check"]) == 1
    course_file.unlink()
    assert script.main([*arguments, "--check"]) == 1 and not course_file.exists()


def test_a_write_that_fails_leaves_the_old_file(
    script: ModuleType, solutions: Path, course_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = course_file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(csv.DictWriter, "writerows", full)
    with pytest.raises(OSError, match="No space left"):
        script.main(["--notebooks", str(solutions), "--table", str(course_file)])
    assert course_file.read_bytes() == before


def test_notebooks_that_were_not_executed_are_not_taken(
    script: ModuleType, solutions: Path, course_file: Path, tmp_path: Path
) -> None:
    before = course_file.read_bytes()
    notebook(solutions, "07_lora.ipynb", "")
    with pytest.raises(SystemExit, match="07_lora.ipynb, cell 1: no verdict was printed"):
        script.main(["--notebooks", str(solutions), "--table", str(course_file)])
    with pytest.raises(SystemExit, match="No notebook in .* has printed a verdict"):
        script.main(["--notebooks", str(tmp_path / "nowhere"), "--table", str(course_file)])
    assert course_file.read_bytes() == before


# --- the course's real notebooks ---------------------------------------------------------------------------------


def test_each_verdict_of_the_solutions_is_read(script: ModuleType) -> None:
    found = script.rows()
    for path in sorted(script.SOLUTIONS.glob("[0-9][0-9]_*.ipynb")):
        if path.name.startswith(script.LEFT_OUT):
            continue
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        text = "".join(o.text for cell in cells for o in cell.outputs if o.output_type == "stream")
        called = {claim for cell in cells for claim in re.findall(r'^verdict\(\s*"(C\d\d)"', cell.source, re.M)}
        mine = [row for row in found if row["notebook"] == f"solutions/{path.name}"]
        assert {row["claim"] for row in mine} == called, path.name
        assert 0 < len(mine) <= len(re.findall(r"^  Verdict: ", text, re.M))
        words = " ".join(text.split())
        for row in mine:
            parts = [f"{name}: {row[name.lower()]}" for name in ("Measured", "Verdict", "Scope", "Note")]
            assert " ".join(part for part in parts if not part.endswith(": ")) in words, (path.name, row["claim"])


def test_the_stored_verdicts_are_those_of_the_solutions(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXPERT_DATA")
    if not (data_folder() / "measurements" / decide.REFERENCE).is_file():
        pytest.skip("tests/benchmarks/reference_ledger.py has not been run")
    assert script.main(["--check"]) == 0
    decide.reference()
