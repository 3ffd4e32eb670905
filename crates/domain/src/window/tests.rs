use super::*;

fn window(text: &str) -> Window {
    text.parse().expect("a window")
}

fn at(text: &str) -> Millis {
    text.parse::<Timestamp>().expect("a time").as_millisecond()
}

#[track_caller]
fn spans(text: &str, when: &str, start: &str, end: &str) {
    assert_eq!(window(text).span(at(when)), Some(Span { start: at(start), end: at(end) }), "{text} at {when}");
}

#[test]
fn calendar_windows_follow_their_zone() {
    spans("hour", "2026-11-21T10:59:59.999Z", "2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z");
    spans("day", "2026-11-21T10:00:00Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z");
    spans("day Asia/Kolkata", "2026-11-21T18:30:00Z", "2026-11-21T18:30:00Z", "2026-11-22T18:30:00Z");
    spans("week", "2026-11-22T23:59:59Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z");
    spans("week", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z");
    spans("month America/New_York", "2026-12-01T04:59:59Z", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z");
}

#[test]
fn days_are_longer_and_shorter_when_clocks_change() {
    spans("day Europe/Vienna", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
    spans("day Europe/Vienna", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
    // Where midnight itself is skipped, the day begins after it; where it comes twice, at the first.
    spans("day Africa/Cairo", "2026-04-24T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z");
    spans("day America/Havana", "2026-11-01T05:30:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z");
    spans("day America/Havana", "2026-11-01T03:59:59.999Z", "2026-10-31T04:00:00Z", "2026-11-01T04:00:00Z");
    // By half an hour.
    spans("day Australia/Lord_Howe", "2026-04-05T12:00:00Z", "2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z");
    // A day that a whole country left out.
    spans("day Pacific/Apia", "2011-12-30T09:59:59.999Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z");
    spans("day Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z");
}

#[test]
fn weeks_and_months_are_longer_and_shorter_when_clocks_change() {
    spans("week Europe/Vienna", "2026-10-21T12:00:00Z", "2026-10-18T22:00:00Z", "2026-10-25T23:00:00Z");
    spans("week Europe/Vienna", "2026-03-25T12:00:00Z", "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z");
    spans("month Europe/Vienna", "2026-10-25T01:00:00Z", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z");
    spans("month America/Havana", "2026-11-01T04:30:00Z", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z");
}

#[test]
fn neither_hours_nor_rolling_spans_notice_that_clocks_change() {
    // In Vienna three o'clock becomes two at 01:00 UTC; in spring two becomes three.
    for change in ["2026-10-25T01:00:00Z", "2026-03-29T01:00:00Z"] {
        let change = at(change);
        for (moment, start) in [(change - 1, change - HOUR), (change, change), (change + HOUR - 1, change)] {
            assert_eq!(window("hour").span(moment), Some(Span { start, end: start + HOUR }), "{moment}");
        }
        let rolling = window("rolling 24h");
        let first = rolling.first_slot(change + HOUR).expect("a slot");
        assert!((change - 23 * HOUR - 24 * 60_000..=change - 23 * HOUR).contains(&first), "{first}");
    }
}

#[test]
fn every_moment_is_in_one_window_and_windows_follow_each_other() {
    let texts = [
        "hour",
        "day Europe/Vienna",
        "day Africa/Cairo",
        "day Australia/Lord_Howe",
        "day America/Havana",
        "week America/Sao_Paulo",
        "week Africa/Cairo",
        "month Asia/Kolkata",
        "month America/Havana",
    ];
    for text in texts {
        let window = window(text);
        let (mut now, end) = (at("2026-01-01T00:00:00Z"), at("2028-01-01T00:00:00Z"));
        while now < end {
            let span = window.span(now).expect("a window");
            assert!(span.start <= now && now < span.end, "{text} at {now}");
            assert_eq!(window.span(span.end - 1), Some(span), "{text}: the last moment");
            assert_eq!(window.span(span.end).map(|next| next.start), Some(span.end), "{text}: no gap, no overlap");
            now = span.end;
        }
    }
}

#[test]
fn rolling_windows_count_in_slots_and_forget_nothing_early() {
    let window = window("rolling 1h");
    assert_eq!(window.span(5), Some(Span { start: 0, end: Millis::MAX }));
    assert_eq!(window.slot(119_999), Some(60_000));
    let now = 10 * HOUR + 30_500;
    // What was spent an hour ago less a moment still counts; the slot before does not.
    assert!(window.first_slot(now) <= window.slot(now - HOUR + 1));
    assert!(window.first_slot(now) > window.slot(now - HOUR - 60_000));
    assert_eq!(window.resets_at(now), None, "bit by bit, depending on when it was spent");
}

#[test]
fn windows_that_are_written_differently_can_be_the_same() {
    for (one, other, same) in [
        ("month", "month UTC", true),
        ("rolling 24h", "rolling 1d", true),
        ("2026-11-01..2026-12-01", "2026-11-01T00:00:00Z..2026-12-01", true),
        ("month", "month Europe/Vienna", false),
        ("rolling 1h", "hour", false),
    ] {
        assert_eq!(window(one).is_same(&window(other)), same, "{one}, {other}");
    }
}

#[test]
fn totals_and_fixed_spans() {
    assert_eq!(window("total").span(at("2026-11-21T00:00:00Z")), Some(Span { start: 0, end: Millis::MAX }));
    assert_eq!(window("total").resets_at(0), None);
    let fixed = window("2026-11-01..2026-12-01");
    assert_eq!(fixed.span(at("2026-10-31T23:59:59Z")), None);
    assert_eq!(fixed.span(at("2026-12-01T00:00:00Z")), None);
    assert_eq!(fixed.resets_at(at("2026-11-05T00:00:00Z")), Some(at("2026-12-01T00:00:00Z")));
}

#[test]
fn texts_are_kept_and_mistakes_are_named() {
    for text in ["hour", "day Europe/Vienna", "rolling 24h", "total", "2026-11-01..2026-12-01"] {
        assert_eq!(window(text).to_string(), text);
        assert_eq!(String::from(window(text)).parse::<Window>(), Ok(window(text)));
    }
    for (text, error) in [
        ("monthly", BadWindow::Shape("monthly".into())),
        ("hour UTC", BadWindow::Shape("hour UTC".into())),
        ("rolling", BadWindow::Shape("rolling".into())),
        ("month Mars/Base", BadWindow::Zone("Mars/Base".into())),
        ("rolling 59s", BadWindow::TooShort),
        ("2026-12-01..2026-11-01", BadWindow::Backwards),
    ] {
        assert_eq!(text.parse::<Window>(), Err(error), "{text}");
    }
}
