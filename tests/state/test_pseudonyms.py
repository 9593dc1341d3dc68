"""Names by a keyed hash: what is renamed, what is not, and when an id is found in a text."""

from pathlib import Path

import pytest

from stagewright.state.pseudonym_key import KeyUnusable, id_of_key, make_key, read_key
from stagewright.state.pseudonyms import make_pseudonyms
from stagewright.state.raw_ids import RawIds
from stagewright.state.spec.data import DataScope

KEY, OTHER = b"k" * 32, b"o" * 32
IDS = ["P01", "P02", "P03"]


def test_the_same_patient_has_the_same_name_under_one_key_only() -> None:
    """Whatever other patients there are."""
    names = [make_pseudonyms(key, "patient", ids, {}, []).donors for key, ids in ((KEY, IDS), (KEY, IDS[:1]))]
    assert names[0]["P01"] == names[1]["P01"]
    assert set(names[0].values()).isdisjoint(make_pseudonyms(OTHER, "patient", IDS, {}, []).donors.values())


def test_names_get_longer_until_all_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two patients whose hashes begin alike are still two."""
    monkeypatch.setattr("stagewright.state.pseudonyms.FEWEST_DIGITS", 1)
    monkeypatch.setattr("stagewright.state.pseudonyms.MORE_DIGITS", 1)
    many = [f"patient {number}" for number in range(300)]
    names = make_pseudonyms(KEY, "patient", many, {}, []).donors
    assert len(set(names.values())) == len(many)
    assert len({len(name) for name in names.values()}) == 1


def test_columns_that_name_patients_are_renamed_where_they_do() -> None:
    """A sample with the id in its name, a copy of the column; not a batch with another patient's id by chance."""
    pairs = {
        "sample": [("P01_Dx", "P01"), ("P02_Dx", "P02"), ("pool", "P01"), ("pool", "P02")],
        "copy": [(one, one) for one in IDS],
        "batch": [("P01", "P02"), ("b2", "P01")],
    }
    found = make_pseudonyms(KEY, "patient", IDS, pairs, [])
    assert set(found.columns) == {"patient", "sample", "copy"}
    assert set(found.columns["sample"]) == {"P01_Dx", "P02_Dx"}
    assert found.columns["copy"] == found.donors
    assert not any("P0" in name for column in found.columns.values() for name in column.values())


def test_short_ids_count_only_where_the_whole_column_or_all_cells_repeat_them() -> None:
    """Lane 1 is not patient 1, and the suffix -1 of a barcode names nobody, unless it does for every cell."""
    lanes = {"lane": [("1", "1"), ("1", "2"), ("2", "1")], "donor": [("1", "1"), ("2", "2")]}
    found = make_pseudonyms(KEY, "patient", ["1", "2"], lanes, [("AAAC-1", "1"), ("AAAG-1", "2")])
    assert set(found.columns) == {"patient", "donor"}
    assert found.cell("AAAC-1") == "AAAC-1"
    found = make_pseudonyms(KEY, "patient", ["1", "2"], {}, [("AAAC-1", "1"), ("AAAG-2", "2")])
    assert found.cells


def test_filters_may_name_ids_or_pseudonyms() -> None:
    """Both mean the same patient."""
    names = make_pseudonyms(KEY, "patient", IDS, {}, [])
    scope = DataScope.model_validate(
        {
            "path": "x",
            "patient": "patient",
            "label": {"column": "label", "positive": "a", "negative": "b"},
            "filters": [{"column": "patient", "drop": ["P01", names.donors["P02"]]}],
        }
    )
    assert names.scope(scope).filters[0].drop == (names.donors["P01"], names.donors["P02"])


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"message": "P01_AAAC was left out"}, {"P01"}),
        ({"message": "P012 and XP01"}, set()),
        ({"message": "7 patients, 7 cells; patients: 7 of 9"}, set()),
        ({"message": "'patient': '7'"}, {"7"}),
        ({"message": "patient 7 has one class"}, {"7"}),
        ({"patient": "7", "k": 7}, {"7"}),
        ({"working": ["7", "8"]}, {"7"}),
        ({"skipped": [{"patient": 7}]}, {"7"}),
        ({"P01": 1}, {"P01"}),
        ({"message": "MK 12/3 came back"}, {"MK 12/3"}),
    ],
)
def test_ids_are_found_as_words_and_short_ones_where_a_patient_is_meant(value: object, found: set[str]) -> None:
    """No false alarm by a number that is an id as well."""
    assert RawIds(["P01", "7", "MK 12/3"]).in_value(value) == found  # type: ignore[arg-type]


def test_a_key_is_made_once_for_its_owner(tmp_path: Path) -> None:
    """A second maker finds the first one's; one that is too short or another is refused without being shown."""
    path = tmp_path / "experiments" / ".pseudonym_key"
    make_key(path)
    key = read_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    make_key(path)
    assert read_key(path, id_of_key(key)) == key
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    with pytest.raises(KeyUnusable) as other:
        read_key(path, "0" * 16)
    assert key.decode() not in str(other.value)
    path.write_text("secret")
    with pytest.raises(KeyUnusable, match="fewer than 32") as short:
        read_key(path)
    assert "secret" not in str(short.value).replace(str(path), "")
