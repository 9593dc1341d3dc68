"""GMT files, and the genes that they select."""

import numpy as np
import pytest

from stagewright.stages.preprocess.gene_list import select_gene_list
from stagewright.stages.preprocess.gene_sets import parse_gmt

NAMES = ["A", "B", "C", "D"]
COUNTED = np.array([True, True, True, False])


def test_sets_are_read_in_their_order_and_repeats_are_counted() -> None:
    """Windows line ends, empty lines, a byte-order mark, trailing tabs: all of these come from spreadsheets."""
    sets = parse_gmt(b"\xef\xbb\xbfone\tna\tA\tB\tA\t\r\n\r\ntwo\thttp://x\tB\tE\r\n")
    assert dict(sets.sets) == {"one": ("A", "B"), "two": ("B", "E")}
    assert (sets.n_repeated, sets.genes) == (1, ("A", "B", "E"))
    assert sets.chosen(["two"]).genes == ("B", "E")
    with pytest.raises(ValueError, match="no set 'three' in the file; it has 2: one, two"):
        sets.chosen(["two", "three"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no set"),
        (b"one\tna\n", "line 1 of the GMT file has no gene"),
        (b"one\tna\tA\n\tna\tB\n", "line 2 of the GMT file has no name"),
        (b"one\tna\tA\none\tna\tB\n", "line 2 of the GMT file names the set 'one' a second time"),
        (b"A\nB\n", "line 1 of the GMT file has no gene"),
        (b"\xff\xfe\x00", "UTF-8 text"),
    ],
)
def test_what_is_no_gmt_file_is_refused(content: bytes, says: str) -> None:
    """The line is named."""
    with pytest.raises(ValueError, match=says):
        parse_gmt(content)


def test_genes_are_selected_by_name_and_the_rest_is_counted() -> None:
    """Genes that the data lack, repeats, all-zero genes and sets without a gene in the data stand in the log."""
    sets = parse_gmt(b"one\tna\tC\tA\tA\nlost\tna\tX\tY\nthree\tna\tD\tA\n")
    found = select_gene_list(NAMES, sets, COUNTED)
    assert found.mask.tolist() == [True, False, True, False]
    assert not found.supervised
    log = found.log
    assert (log["n_genes_listed"], log["n_genes_not_in_data"], log["genes_not_in_data"]) == (5, 2, ["X", "Y"])
    assert (log["n_genes_repeated_in_a_set"], log["n_genes_all_zero"], log["n_genes_after"]) == (1, 1, 2)
    assert log["sets_without_a_gene_in_the_data"] == ["lost"]
    assert log["sets"] == {
        "one": {"n_genes": 2, "n_in_data": 2},
        "lost": {"n_genes": 2, "n_in_data": 0},
        "three": {"n_genes": 2, "n_in_data": 2},
    }


def test_a_list_without_a_gene_in_the_data_is_refused() -> None:
    """Symbols against Ensembl ids is the usual reason; only all-zero genes is another."""
    with pytest.raises(ValueError, match=r"None of the 2 genes .*\(e\.g\. ENSG1, ENSG2\).*\(e\.g\. A, B, C\)"):
        select_gene_list(NAMES, parse_gmt(b"one\tna\tENSG1\tENSG2\n"), COUNTED)
    with pytest.raises(ValueError, match="are zero in all cells"):
        select_gene_list(NAMES, parse_gmt(b"one\tna\tD\n"), COUNTED)
