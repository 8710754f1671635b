"""Makes the Parquet files of ../parquet.rs: run it in an environment with pyarrow.

    python make.py            # writes stories-*.parquet beside itself

The rows follow from their number alone, so that the Rust side can write down what it must read. Row 7 has no text.
"""

import os

import pyarrow as pa
import pyarrow.parquet as pq

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = 160


def story(row):
    return f"Story {row}.\nOnce there was a fox of {row * row} years – größer als je. 🦊"


table = pa.table(
    {
        "id": pa.array(range(ROWS), pa.int64()),
        "story": pa.array([None if row == 7 else story(row) for row in range(ROWS)], pa.string()),
        "author": pa.array([["Ann", "Ben"][row % 2] for row in range(ROWS)]).dictionary_encode(),
    }
)
for compression in ["snappy", "gzip", "none", "zstd"]:
    pq.write_table(table, os.path.join(HERE, f"stories-{compression}.parquet"), compression=compression, row_group_size=60)
