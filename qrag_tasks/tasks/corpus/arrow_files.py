"""Tables in Arrow IPC (Feather) files, uncompressed: mapped into memory, and checked.

Arrow trusts what it reads, down to a crash: it gets no byte that was not written. A file of
hundreds of megabytes would take long to check as a whole, so every part has a checksum: header and
footer are checked at opening, a record batch, of about a megabyte, when it is first read.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

_BATCH_SIZE = 1 << 20
"""What a record batch is written from: characters, and eight for every value."""

Part = list[int]
"""Where a part of a file ends, in bytes, and its CRC-32."""


class DamagedError(Exception):
    """Says in which way a file is not what was written."""


class TableWriter:
    """Writes rows into a file, a record batch at a time.

    :param file: open for writing bytes; the caller closes it.
    :param texts: the columns that hold text or nothing, which are the first.
    :param numbers: those that hold whole numbers.
    """

    def __init__(self, file: IO[bytes], texts: Sequence[str], numbers: Sequence[str] = ()) -> None:
        # Imported here: pyarrow is not needed to list or check retrievers.
        import pyarrow as pa

        self._schema = pa.schema(
            [
                *((name, pa.large_string()) for name in texts),
                *((name, pa.int64()) for name in numbers),
            ]
        )
        self._file = file
        self._sink = _SummedFile(file)
        # One thread: more would not be faster here, and would not live through a fork.
        options = pa.ipc.IpcWriteOptions(use_threads=False)
        self._writer = pa.ipc.new_file(self._sink, self._schema, options=options)
        self._parts = [self._sink.end_part()]
        self._texts = len(texts)
        self._rows: list[Sequence[str | int | None]] = []
        self._size = 0

    @property
    def place(self) -> tuple[int, int]:
        """The next row's record batch, and its number there."""
        return len(self._parts) - 1, len(self._rows)

    def add(self, row: Sequence[str | int | None]) -> None:
        """Write a row: a value for every column."""
        self._rows.append(row)
        texts: Sequence[Any] = row[: self._texts]
        self._size += 8 * len(row) + sum(map(len, filter(None, texts)))
        if self._size >= _BATCH_SIZE:
            self._write_batch()

    def finish(self) -> list[Part]:
        """Write what is held yet, flush it to the disk, and return the file's parts.

        They are the header, the record batches and the footer.
        """
        if self._rows:
            self._write_batch()
        self._writer.close()
        self._parts.append(self._sink.end_part())
        flush_to_disk(self._file)
        return self._parts

    def _write_batch(self) -> None:
        import pyarrow as pa

        columns = list(zip(*self._rows, strict=True))
        arrays = [
            *map(_text_array, columns[: self._texts]),
            *map(_number_array, columns[self._texts :]),
        ]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._parts.append(self._sink.end_part())
        self._rows.clear()
        self._size = 0


# As pyarrow.array would make them; but that imports pandas, which takes longer than most data do.
def _text_array(texts: Sequence[str | None]) -> Any:
    import numpy as np
    import pyarrow as pa

    encoded = [b"" if text is None else text.encode() for text in texts]
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(list(map(len, encoded)), out=offsets[1:])
    buffers = [offsets, b"".join(encoded)]
    if None in texts:
        buffers.append(np.packbits([text is not None for text in texts], bitorder="little"))
    return pa.LargeStringArray.from_buffers(len(texts), *map(pa.py_buffer, buffers))


def _number_array(numbers: Sequence[int]) -> Any:
    import numpy as np
    import pyarrow as pa

    buffers = [None, pa.py_buffer(np.array(numbers, np.int64))]
    return pa.Array.from_buffers(pa.int64(), len(numbers), buffers)


class _SummedFile:
    """What Arrow writes to: passes all on to a file, and sums it up."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._size = 0
        self._sum = 0

    def write(self, content: Any) -> int:
        view = memoryview(content)
        self._sum = zlib.crc32(view, self._sum)
        self._size += view.nbytes
        return self._file.write(view)

    def flush(self) -> None:
        """Do nothing: the file is flushed once, when it is complete."""

    def end_part(self) -> Part:
        part = [self._size, self._sum]
        self._sum = 0
        return part


class TableFile:
    """A table that lies in its file; several processes share the memory.

    :param parts: as :meth:`TableWriter.finish` returned them.
    :raises DamagedError: when the file is not what was written.
    :raises OSError: when it may not be read.
    """

    def __init__(self, path: Path, parts: Sequence[Part]) -> None:
        import pyarrow as pa

        self.path = path
        self._parts = parts
        self._batches: dict[int, Any] = {}
        try:
            size = path.stat().st_size
            if size != parts[-1][0]:
                raise DamagedError(f"{path.name} has {size:,} bytes, not {parts[-1][0]:,}")
            with pa.memory_map(str(path)) as file:
                self._content = file.read_buffer()
        except FileNotFoundError:
            raise DamagedError(f"{path.name} is missing") from None
        self._check(0)
        self._check(len(parts) - 1)
        options = pa.ipc.IpcReadOptions(use_threads=False)
        self._reader = pa.ipc.open_file(self._content, options=options)

    @property
    def columns(self) -> list[str]:
        """The columns' names."""
        names: list[str] = self._reader.schema.names
        return names

    @property
    def batches(self) -> int:
        """How many record batches there are."""
        return len(self._parts) - 2

    def batch(self, number: int) -> Any:
        """Return a :class:`pyarrow.RecordBatch` whose columns lie in the file.

        :raises DamagedError: when it is not what was written.
        """
        if number not in self._batches:
            self._check(number + 1)
            self._batches[number] = self._reader.get_batch(number)
        return self._batches[number]

    def rows(self, batch: int, start: int, size: int) -> Iterator[tuple[Any, ...]]:
        """Yield up to ``size`` rows of a record batch, from ``start`` on.

        :raises DamagedError: when the batch is not what was written.
        """
        part = self.batch(batch).slice(start, size)
        return zip(*(column.to_pylist() for column in part.columns), strict=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return TableFile, (self.path, self._parts)

    def _check(self, part: int) -> None:
        start = self._parts[part - 1][0] if part else 0
        end, checksum = self._parts[part]
        if zlib.crc32(memoryview(self._content)[start:end]) != checksum:
            raise DamagedError(f"{self.path.name}, bytes {start:,} to {end:,}, are not as written")


def flush_to_disk(file: IO[Any]) -> None:
    """Write what is held of a file yet, and wait until the disk has it."""
    file.flush()
    os.fsync(file.fileno())
