"""What a file is that is no HDF5 file, and how to make one of it."""

from pathlib import Path

__all__ = ["another_format"]

SUFFIXES = {
    ".csv": "is a table of text; convert it: anndata.io.read_csv(path).T if genes are its rows, then .write_h5ad(...)",
    ".tsv": "is a table of text; convert it: scanpy.read_text(path).T if genes are its rows, then .write_h5ad(...)",
    ".txt": "is a table of text; convert it: scanpy.read_text(path).T if genes are its rows, then .write_h5ad(...)",
    ".mtx": "is a Matrix Market file; convert its folder: scanpy.read_10x_mtx(folder).write_h5ad('cohort.h5ad')",
    ".rds": "is an R object; write it as .h5ad in R, for example with zellkonverter::writeH5AD",
    ".rdata": "is an R workspace; write the object as .h5ad in R, for example with zellkonverter::writeH5AD",
    ".parquet": "is a parquet table; build an AnnData of it (cells x genes, obs) and write it as .h5ad",
    ".npz": "is an archive of numpy arrays; build an AnnData of it (X, obs, var) and write it as .h5ad",
    ".xlsx": "is a spreadsheet; build an AnnData of it (cells x genes, obs) and write it as .h5ad",
}
SIGNATURES = (
    (b"\x1f\x8b", "is compressed by gzip as a whole; unpack it first (gunzip)"),
    (b"PK\x03\x04", "is a zip archive; unpack it and give the .h5ad file or the .zarr folder in it"),
    (b"BZh", "is compressed by bzip2 as a whole; unpack it first (bunzip2)"),
    (b"\x28\xb5\x2f\xfd", "is compressed by zstd as a whole; unpack it first (unzstd)"),
    (b"%%MatrixMarket", SUFFIXES[".mtx"]),
    (b"PAR1", SUFFIXES[".parquet"]),
    (b"<", "is a page or a form, no data: perhaps the download asked for a login; download it again"),
)


def another_format(path: Path) -> str | None:
    """Say what a file is and how its data get into an .h5ad file; None when that is not known."""
    # `counts.csv.gz` is unpacked first, but what comes of it is no h5ad file either.
    inner = next((SUFFIXES[end] for end in map(str.lower, path.suffixes) if end in SUFFIXES), None)
    if inner is not None:
        return inner
    with path.open("rb") as file:
        start = file.read(16)
    return next((said for signature, said in SIGNATURES if start.startswith(signature)), None)
