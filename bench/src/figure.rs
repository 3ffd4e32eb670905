//! A measured figure: the median of several rounds and how far apart they were.

/// A figure.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// The median.
    pub value: f64,
    /// The smallest of the rounds.
    pub low: f64,
    /// The largest of the rounds.
    pub high: f64,
}

impl Figure {
    /// The median of what the rounds gave.
    pub fn median(rounds: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = rounds.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let middle = values.len() / 2;
        let value =
            if values.len().is_multiple_of(2) { (at(middle.wrapping_sub(1)) + at(middle)) / 2.0 } else { at(middle) };
        Self { value, low: at(0), high: at(values.len().wrapping_sub(1)) }
    }
}

impl From<f64> for Figure {
    fn from(value: f64) -> Self {
        Self { value, low: value, high: value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_all_rounds() {
        let odd = Figure::median([3.0, 1.0, 2.0]);
        assert_eq!((odd.value, odd.low, odd.high), (2.0, 1.0, 3.0));
        assert_eq!(Figure::median([4.0, 1.0, 2.0, 3.0]).value, 2.5);
        assert!(Figure::median([]).value.is_nan());
    }
}
