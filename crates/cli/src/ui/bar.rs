//! A bar that shows how much of a whole is used: with drawing characters on a terminal, in plain ASCII elsewhere.

/// How wide a bar is, in characters.
const WIDTH: i64 = 40;

/// How a bar is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// In ASCII: for files, pipes and mail.
    Plain,
    /// With drawing characters.
    Terminal,
}

/// A bar: what is used, what is set aside, and what is left of a whole. Something is never drawn as nothing, and no bar is
/// full before the whole is used.
#[must_use]
pub(crate) fn draw(used: i64, aside: i64, whole: i64, style: Style) -> String {
    let used_cells = cells(used, whole);
    let both = cells(used.saturating_add(aside), whole).max(used_cells);
    let aside_cells = both - used_cells;
    let (open, full, half, empty, close) = match style {
        Style::Plain => ("[", "#", "=", "-", "]"),
        Style::Terminal => ("", "█", "▒", "░", ""),
    };
    let times = |mark: &str, count: i64| mark.repeat(usize::try_from(count).unwrap_or(0));
    format!("{open}{}{}{}{close}", times(full, used_cells), times(half, aside_cells), times(empty, WIDTH - both))
}

fn cells(part: i64, whole: i64) -> i64 {
    if whole <= 0 || part >= whole {
        return WIDTH;
    }
    if part <= 0 {
        return 0;
    }
    let cells = i128::from(part) * i128::from(WIDTH) / i128::from(whole);
    i64::try_from(cells).unwrap_or(WIDTH).clamp(1, WIDTH - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_honest_at_both_ends() {
        let plain = |used, aside, whole| draw(used, aside, whole, Style::Plain);
        assert_eq!(plain(0, 0, 10), format!("[{}]", "-".repeat(40)));
        assert_eq!(plain(1, 0, 1_000_000), format!("[#{}]", "-".repeat(39)));
        assert_eq!(plain(999_999, 0, 1_000_000), format!("[{}-]", "#".repeat(39)));
        assert_eq!(plain(10, 0, 10), format!("[{}]", "#".repeat(40)));
        assert_eq!(plain(99, 5, 10), format!("[{}]", "#".repeat(40)));
        assert_eq!(plain(5, 5, 10), format!("[{}{}]", "#".repeat(20), "=".repeat(20)));
        assert_eq!(plain(i64::MAX, i64::MAX, i64::MAX), plain(1, 0, 0));
        assert_eq!(plain(-5, 0, 10), plain(0, 0, 10));
        assert_eq!(draw(5, 0, 10, Style::Terminal), format!("{}{}", "█".repeat(20), "░".repeat(20)));
    }
}
