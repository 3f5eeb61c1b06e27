"""What a user reads, as golden text in two widths and without a terminal, and what must hold of each."""

import pytest

from pulltrace_kubectl.core.advice import HARMLESS
from pulltrace_kubectl.model.options import Options, View
from pulltrace_kubectl.render.drawing import drawn
from pulltrace_kubectl.render.layout import Line
from pulltrace_kubectl.render.paint import painted
from pulltrace_kubectl.render.waits import Form
from rig.client_pictures import GOLDEN, WIDTHS, document, drawing, files, picture

pytestmark = pytest.mark.unit

ROWS = document()["pods"]
each_width = pytest.mark.parametrize("width", [*WIDTHS, 60, 120, None])


@pytest.mark.parametrize("name", files())
def test_the_drawing_is_the_one_that_was_reviewed(name: str) -> None:
    assert files()[name].splitlines() == (GOLDEN / name).read_text().splitlines(), "python -m rig.client_pictures"


@each_width
@pytest.mark.parametrize("view", View)
def test_nothing_is_wider_than_the_terminal(view: View, width: int | None) -> None:
    assert width is None or max(len(line) for line in drawing(view, width).splitlines()) <= width


@each_width
def test_the_list_has_a_line_for_each_image_the_longest_wait_first(width: int | None) -> None:
    heading, *lines = drawing(View.WAITS, width).split("\n\n")[0].splitlines()
    assert heading.startswith("POD ")
    assert len(lines) == len(ROWS)
    assert "cart" in lines[0] or "typo" in lines[0]
    assert "pulled" in lines[-1]
    assert [row["phase"] in line for row, line in zip(sorted_rows(), lines, strict=True)] == [True] * len(ROWS)


@each_width
def test_each_cause_that_somebody_has_to_act_on_is_explained_once(width: int | None) -> None:
    advice = drawing(View.WAITS, width).split("\n\n")[1]
    for cause in {row["blockedBy"] for row in ROWS if "blockedBy" in row}:
        assert advice.count(f"{cause}:") + advice.count(f"{cause} (") == (0 if cause == "progressing" else 1)


def test_wide_enough_it_says_all_that_is_known() -> None:
    line = next(line for line in drawing(View.WAITS, None).splitlines() if line.startswith("llm-server-1"))
    assert line.split() == [
        "llm-server-1", "main", "registry.example/ai/llm-server:2.4", "node-2", "downloading", "3%", "8.1", "GB", "4.1",
        "MB/s", "31m", "2m51s", "slow_download", "-",
    ]  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
def test_a_bar_is_drawn_in_a_terminal_and_in_ascii_where_it_has_no_other(width: int) -> None:
    assert "█" in drawing(View.WAITS, width)
    plain = painted(drawn_list(Form(width, bars=True, unicode=False)), colour=False)
    assert "#" in plain
    assert plain.isascii()


def test_colours_say_what_is_bad_and_are_off_where_they_are_not_wanted() -> None:
    lines = drawn_list(Form(160, bars=True))
    coloured = painted(lines, colour=True)
    assert "\x1b[31m  not_found" in coloured
    assert "\x1b[31m  queue" not in coloured
    assert "\x1b" not in painted(lines, colour=False)
    assert "queue" in HARMLESS


def test_a_low_terminal_cuts_and_counts_the_rows_and_keeps_the_advice() -> None:
    text = painted(drawn_list(Form(160, bars=True, height=12)), colour=False).splitlines()
    assert len(text) == 12
    assert "and 5 more" in text
    assert text[-1].startswith("backoff (disk_full)")


def test_a_queued_image_has_what_is_ahead_by_name_and_unknown_layers_have_a_reason() -> None:
    told = drawing(View.PODS, None)
    assert "1. registry.example/ai/llm-server:2.4  downloading 33%, 1m58s left  for shop/llm-server-0" in told
    assert "layers are not known: you may not get pods/proxy in namespace pulltrace" in told


def sorted_rows() -> list[dict[str, str]]:
    return sorted(ROWS, key=lambda row: (row["phase"] == "pulled", -row.get("waitingSeconds", 0.0), row["pod"]))


def drawn_list(form: Form) -> list[Line]:
    return drawn(picture(View.WAITS), Options(), form)
