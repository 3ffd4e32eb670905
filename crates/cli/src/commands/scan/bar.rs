//! How far a scan is, how fast, and how long it will take, on one line.

use crate::ui::bar::{Style, draw};
use keyward_scanner::Progress;
use std::time::{Duration, Instant};

/// A scan that ends sooner shows no bar.
const PATIENCE: Duration = Duration::from_millis(300);
/// Below this many columns the bar itself is left out.
const WIDE: u16 = 100;

/// A bar.
pub(super) struct Bar {
    began: Instant,
    shown: bool,
}

impl Bar {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), shown: false }
    }

    /// Whether there is anything to wipe away.
    pub(super) const fn was_shown(&self) -> bool {
        self.shown
    }

    /// The line for now, when there is one to show.
    pub(super) fn words(&mut self, progress: &Progress, width: Option<u16>) -> Option<String> {
        let passed = self.began.elapsed();
        if passed < PATIENCE {
            return None;
        }
        self.shown = true;
        let done = Done {
            items: progress.items(),
            items_total: progress.items_total(),
            bytes: progress.bytes(),
            bytes_total: progress.bytes_total(),
        };
        let line = line(&done, passed, width.is_none_or(|width| width >= WIDE));
        let room = usize::from(width.unwrap_or(u16::MAX)).saturating_sub(1);
        Some(line.chars().take(room).collect())
    }
}

struct Done {
    items: u64,
    items_total: Option<u64>,
    bytes: u64,
    bytes_total: Option<u64>,
}

fn line(done: &Done, passed: Duration, wide: bool) -> String {
    let milliseconds = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = done.bytes.saturating_mul(1_000) / milliseconds;
    // Bytes tell better how far it is; items where nobody knows how many bytes there are.
    let whole = match (done.bytes_total, done.items_total) {
        (Some(total), _) if total > 0 => Some((done.bytes.min(total), total)),
        (_, Some(total)) if total > 0 => Some((done.items.min(total), total)),
        _ => None,
    };
    let mut parts = Vec::new();
    if let Some((part, total)) = whole {
        if wide {
            let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            parts.push(draw(number(part), 0, number(total), Style::Terminal));
        }
        parts.push(format!("{:>3}%", u128::from(part) * 100 / u128::from(total)));
    }
    parts.push(format!("{} items", done.items));
    parts.push(format!("{} ({}/s)", size(done.bytes), size(rate)));
    if let Some((part, total)) = whole.filter(|(part, _)| *part > 0) {
        let left = u128::from(milliseconds) * u128::from(total - part) / u128::from(part) / 1_000;
        parts.push(format!("{} left", span(u64::try_from(left).unwrap_or(u64::MAX))));
    }
    parts.join("  ")
}

fn size(bytes: u64) -> String {
    match bytes {
        0..=1_048_575 => format!("{} KiB", bytes >> 10),
        1_048_576..=1_073_741_823 => format!("{} MiB", bytes >> 20),
        _ => format!("{}.{} GiB", bytes >> 30, ((bytes % (1 << 30)) * 10) >> 30),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3_599 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        _ => format!("{}:{:02} h", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_rate_and_time_left() {
        let done = Done { items: 7, items_total: None, bytes: 100 << 20, bytes_total: Some(400 << 20) };
        let told = line(&done, Duration::from_secs(2), false);
        assert_eq!(told, " 25%  7 items  100 MiB (50 MiB/s)  6 s left");
        assert!(line(&done, Duration::from_secs(2), true).starts_with("██████████░"));
        let unknown = Done { items: 7, items_total: None, bytes: 3 << 30, bytes_total: None };
        assert_eq!(line(&unknown, Duration::from_secs(1), true), "7 items  3.0 GiB (3.0 GiB/s)");
        let items = Done { items: 1, items_total: Some(4_000), bytes: 10, bytes_total: None };
        assert_eq!(line(&items, Duration::from_secs(1), false), "  0%  1 items  0 KiB (0 KiB/s)  1:06 h left");
        let odd = Done { items: 0, items_total: Some(0), bytes: 9, bytes_total: Some(0) };
        assert_eq!(line(&odd, Duration::ZERO, true), "0 items  0 KiB (8 KiB/s)");
    }

    #[test]
    fn a_short_scan_shows_nothing() {
        let mut bar = Bar::new();
        assert_eq!(bar.words(&Progress::default(), Some(80)), None);
        assert!(!bar.was_shown());
    }
}
