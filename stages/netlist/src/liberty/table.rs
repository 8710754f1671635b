/// A delay, transition or constraint table: one value for each pair of index values, the second index running fastest.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub first: Vec<f64>,
    pub second: Vec<f64>,
    pub values: Vec<f64>,
}

impl Table {
    pub(super) fn new(first: Vec<f64>, second: Vec<f64>, values: Vec<f64>) -> Result<Self, String> {
        // A scalar table has no index; a one-dimensional one has no second.
        let size = first.len().max(1) * second.len().max(1);
        if values.len() != size {
            return Err(format!(
                "a table of {} × {} has {} values",
                first.len().max(1),
                second.len().max(1),
                values.len()
            ));
        }
        for index in [&first, &second] {
            if index.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err("an index of a table does not rise".to_string());
            }
        }
        Ok(Self {
            first,
            second,
            values,
        })
    }

    /// The value at a point: bilinear between the table's points, and the nearest cell's plane beyond them, as timing analysers do.
    #[must_use]
    pub fn at(&self, first: f64, second: f64) -> f64 {
        let columns = self.second.len().max(1);
        let (row, along) = bracket(&self.first, first);
        let (column, across) = bracket(&self.second, second);
        let value = |row: usize, column: usize| {
            let row = row.min(self.first.len().saturating_sub(1));
            let column = column.min(columns - 1);
            self.values[row * columns + column]
        };
        let low = value(row, column) * (1.0 - across) + value(row, column + 1) * across;
        let high = value(row + 1, column) * (1.0 - across) + value(row + 1, column + 1) * across;
        low * (1.0 - along) + high * along
    }
}

/// The interval that holds `at`, or the nearest one, and how far along it `at` lies (beyond 0..1 outside the table).
fn bracket(index: &[f64], at: f64) -> (usize, f64) {
    if index.len() < 2 {
        return (0, 0.0);
    }
    let interval = index[1..index.len() - 1]
        .iter()
        .take_while(|value| **value <= at)
        .count();
    (
        interval,
        (at - index[interval]) / (index[interval + 1] - index[interval]),
    )
}

/// The numbers of `values("1, 2", "3, 4")`.
pub(super) fn numbers(rows: &[String]) -> Result<Vec<f64>, String> {
    rows.iter()
        .flat_map(|row| row.split(|character: char| character == ',' || character.is_whitespace()))
        .filter(|word| !word.is_empty())
        .map(|word| match word.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(format!("'{word}' is no number")),
        })
        .collect()
}
