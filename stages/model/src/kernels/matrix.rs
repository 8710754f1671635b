//! Matrix product on strided views, checked, on the crate `gemm` (the one candle uses).

/// A strided view: element (r, c) is `data[r·row_stride + c·column_stride]`.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

/// The same, to be written.
pub struct MatrixMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows one after the other without gaps.
    #[must_use]
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows that start `row_stride` apart.
    ///
    /// # Panics
    /// If the view reaches past `data`.
    #[must_use]
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(
            fits(data.len(), rows, columns, row_stride),
            "view past its data"
        );
        Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// The first `columns` columns of the rows from `start` to `end`; of a view that is not transposed.
    ///
    /// # Panics
    /// If the view has no such rows and columns.
    #[must_use]
    pub fn block(self, start: usize, end: usize, columns: usize) -> Self {
        let data = &self.data[start * self.row_stride..];
        Self::strided(data, end - start, columns, self.row_stride)
    }

    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

impl<'a> MatrixMut<'a> {
    /// Rows one after the other without gaps.
    #[must_use]
    pub fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows that start `row_stride` apart.
    ///
    /// # Panics
    /// If the view reaches past `data`, or rows overlap.
    #[must_use]
    pub fn strided(data: &'a mut [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(
            fits(data.len(), rows, columns, row_stride) && row_stride >= columns,
            "view past its data"
        );
        Self {
            data,
            rows,
            columns,
            row_stride,
        }
    }
}

fn fits(length: usize, rows: usize, columns: usize, row_stride: usize) -> bool {
    rows == 0 || columns == 0 || (rows - 1) * row_stride + columns <= length
}

/// target = keep·target + scale·left·right, where keep is 0 or 1.
///
/// # Panics
/// If the shapes do not match.
pub fn multiply(target: MatrixMut, keep: bool, scale: f32, left: Matrix, right: Matrix) {
    let (m, n, k) = (target.rows, target.columns, left.columns);
    assert!(
        left.rows == m && right.columns == n && right.rows == k,
        "shapes do not match"
    );
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: the constructors checked that every (row, column) of the three views lies inside its slice, the shapes
    // match, rows of `target` do not overlap, and `target` is borrowed mutably, so it aliases neither operand.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            target.data.as_mut_ptr(),
            1,
            target.row_stride as isize,
            keep,
            left.data.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.data.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// target = left·right, rows without gaps.
///
/// # Panics
/// If the shapes do not match.
pub fn multiply_into(target: &mut [f32], left: Matrix, right: Matrix) {
    let target = MatrixMut::new(target, left.rows, right.columns);
    multiply(target, false, 1.0, left, right);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplies_strided_and_transposed_views() {
        let left = [1.0, 2.0, 9.0, 3.0, 4.0, 9.0]; // 2 × 2, rows 3 apart
        let right = [5.0, 7.0, 6.0, 8.0]; // transposed: [[5, 6], [7, 8]]
        let mut target = [1.0; 4];
        multiply(
            MatrixMut::new(&mut target, 2, 2),
            true,
            2.0,
            Matrix::strided(&left, 2, 2, 3),
            Matrix::new(&right, 2, 2).transposed(),
        );
        assert_eq!(target, [1.0 + 38.0, 1.0 + 44.0, 1.0 + 86.0, 1.0 + 100.0]);
    }

    #[test]
    #[should_panic(expected = "view past its data")]
    fn refuses_a_view_past_its_data() {
        let _ = Matrix::new(&[0.0; 5], 2, 3);
    }
}
