"""The reader of Containerfiles reads them as engines do, as far as ours goes, and refuses the rest."""

from pathlib import Path

import pytest

from rig.containerfile import Builder, Unknown, parse

pytestmark = pytest.mark.contract

TEXT = """\
# a remark
FROM base.example/python:3@sha256:0 AS base
ENV HOME_OF_IT=/opt \\
    # a remark within
    OTHER="two words"

FROM base AS parts
ARG VERSION
WORKDIR /work
COPY one-${VERSION}.txt two.txt ./

FROM base AS result
LABEL version="${VERSION}" unset="${NOBODY}"
COPY --from=parts /work /work
USER 1:1
ENTRYPOINT ["run", "it"]
"""


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A context, a base, and where to build."""
    context, base, built = (tmp_path / name for name in ("context", "base", "built"))
    for each in (context, base / "etc", built):
        each.mkdir(parents=True)
    (context / "one-7.txt").write_text("one")
    (context / "two.txt").write_text("two")
    return context, base, built


def builder(text: str, folders: tuple[Path, Path, Path]) -> Builder:
    context, base, built = folders
    return Builder(parse(text), context, built, base, {"VERSION": "7"}, {})


def test_stages_in_order_with_joined_lines_and_without_remarks() -> None:
    stages = parse(TEXT)
    assert list(stages) == ["base", "parts", "result"]
    assert [each.name for each in stages["result"].instructions] == ["LABEL", "COPY", "USER", "ENTRYPOINT"]
    assert [each.words for each in stages["base"].all("ENV")] == [["HOME_OF_IT=/opt", "OTHER=two words"]]


def test_what_comes_of_it(folders: tuple[Path, Path, Path]) -> None:
    result = builder(TEXT, folders).build("result")
    assert {path.name: path.read_text() for path in (result.tree / "work").iterdir()} == {
        "one-7.txt": "one",
        "two.txt": "two",
    }
    assert result.config == {
        "Labels": {"version": "7", "unset": ""},
        "User": "1:1",
        "Entrypoint": ["run", "it"],
    }
    assert "OTHER=two words" in result.image_config["Env"]


def test_the_base_and_other_stages_stay_as_they_were(folders: tuple[Path, Path, Path]) -> None:
    made = builder(TEXT, folders)
    made.build("result")
    assert [path.name for path in folders[1].iterdir()] == ["etc"]
    assert not (made.build("base").tree / "work").exists()


@pytest.mark.parametrize("line", ["ADD https://example.org/x /x", "VOLUME /data", 'SHELL ["/bin/bash"]'])
def test_other_instructions_are_refused(folders: tuple[Path, Path, Path], line: str) -> None:
    with pytest.raises(Unknown):
        builder(f"FROM base.example AS it\n{line}\n", folders).build("it")
