"""Gene sets from the text of a GMT file: one line a set, its name, a description, then its genes, parted by tabs.

Light to import: planning reads the file too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["GeneSets", "parse_gmt"]

MAX_BYTES = 32 * 2**20
FIRST_GENE = 2
SHOWN = 5


@dataclass(frozen=True, slots=True)
class GeneSets:
    """The sets of one file.

    Attributes
    ----------
    sets
        Genes of each set by its name, in the order of the file, each gene once.
    n_repeated
        Genes that stood more than once in a set.
    """

    sets: Mapping[str, tuple[str, ...]]
    n_repeated: int = 0

    def chosen(self, names: Iterable[str] | None) -> "GeneSets":
        """Return some of the sets, in the order of the file; None is all.

        Raises
        ------
        ValueError
            A name is not among them; the text lists what is.
        """
        if names is None:
            return self
        wanted = set(names)
        unknown = sorted(wanted - set(self.sets))
        if unknown:
            known = ", ".join(list(self.sets)[:SHOWN]) + (", ..." if len(self.sets) > SHOWN else "")
            raise ValueError(f"no set {', '.join(map(repr, unknown))} in the file; it has {len(self.sets)}: {known}")
        kept = {name: genes for name, genes in self.sets.items() if name in wanted}
        return GeneSets(MappingProxyType(kept), self.n_repeated)

    @property
    def genes(self) -> tuple[str, ...]:
        """Every gene of the sets once, in the order of the file."""
        return tuple(dict.fromkeys(gene for genes in self.sets.values() for gene in genes))


def parse_gmt(content: bytes) -> GeneSets:
    """Return the sets of a GMT file.

    Raises
    ------
    ValueError
        The content is no UTF-8 text, or holds no set, a line without a gene, or one name for two sets; with the line.
    """
    if len(content) > MAX_BYTES:
        raise ValueError(f"a GMT file of more than {MAX_BYTES >> 20} MiB is no gene list")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"a GMT file is UTF-8 text, and this is not: {error}") from error
    sets: dict[str, tuple[str, ...]] = {}
    n_repeated = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        fields = [field.strip() for field in line.split("\t")]
        name, genes = fields[0], [gene for gene in fields[FIRST_GENE:] if gene]
        if not name or not genes:
            raise ValueError(
                f"line {number} of the GMT file has no {'gene' if name else 'name'}; a line is: name, description, "
                "gene, gene, ... parted by tabs"
            )
        if name in sets:
            raise ValueError(f"line {number} of the GMT file names the set {name!r} a second time")
        sets[name] = tuple(dict.fromkeys(genes))
        n_repeated += len(genes) - len(sets[name])
    if not sets:
        raise ValueError("the GMT file holds no set")
    return GeneSets(MappingProxyType(sets), n_repeated)
