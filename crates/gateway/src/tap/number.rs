//! Numbers as providers write them, without floating point.

/// A decimal number in thousandths, rounded up; `None` when it is not a number. What is below zero is zero, what is
/// too large stops at the largest.
#[must_use]
pub fn thousandths(text: &str) -> Option<u64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if negative {
        return Some(0);
    }
    let mut value: u128 = 0;
    for byte in digits() {
        value = value.saturating_mul(10).saturating_add(u128::from(byte - b'0'));
    }
    let mut shift = exponent.saturating_add(3).saturating_sub(i32::try_from(fraction.len()).unwrap_or(i32::MAX));
    while shift > 0 && value != 0 && value < u128::MAX {
        value = value.saturating_mul(10);
        shift -= 1;
    }
    while shift < 0 && value > 1 {
        value = value.div_ceil(10);
        shift += 1;
    }
    if shift < 0 && value == 1 && !digits().any(|byte| byte != b'0') {
        value = 0;
    }
    Some(u64::try_from(value).unwrap_or(u64::MAX))
}

/// A count: a decimal number, rounded up to a whole one.
#[must_use]
pub fn count(text: &str) -> Option<u64> {
    match text.parse::<u64>() {
        Ok(plain) => Some(plain),
        Err(_) => thousandths(text).map(|value| value.div_ceil(1_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_exactly_and_rounded_up() {
        for (text, value) in [
            ("0", Some(0)),
            ("0.0", Some(0)),
            ("1", Some(1_000)),
            ("1.5", Some(1_500)),
            ("1.0001", Some(1_001)),
            ("0.00000001", Some(1)),
            ("1e3", Some(1_000_000)),
            ("2.5E-1", Some(250)),
            ("-3", Some(0)),
            ("99999999999999999999999999", Some(u64::MAX)),
            ("1e400", Some(u64::MAX)),
            ("1e-400", Some(1)),
            ("0e400", Some(0)),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("abc", None),
            ("1e", None),
        ] {
            assert_eq!(thousandths(text), value, "{text}");
        }
        assert_eq!(count("19"), Some(19));
        assert_eq!(count("19.0"), Some(19));
        assert_eq!(count("19.2"), Some(20));
        assert_eq!(count("18446744073709551615"), Some(u64::MAX));
    }
}
