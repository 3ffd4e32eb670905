//! Money in whole nano-dollars. Integers only; every division rounds up, never in the user's favour by accident.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An amount in nano-USD (1 USD = 1 000 000 000). The range is about ±9.2 billion USD.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(i64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    const PER_USD: i64 = 1_000_000_000;

    /// From whole nano-dollars.
    #[must_use]
    pub const fn from_nano(nano: i64) -> Self {
        Self(nano)
    }

    /// Whole nano-dollars, for storage.
    #[must_use]
    pub const fn nano(self) -> i64 {
        self.0
    }

    /// The sum, stopping at the largest amount instead of wrapping.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// From an amount in femto-dollars (10^-15 USD), rounded up to the next nano-dollar.
    #[must_use]
    pub fn from_femto_ceil(femto: i128) -> Self {
        let nano = femto.div_euclid(1_000_000) + i128::from(femto.rem_euclid(1_000_000) != 0);
        Self(i64::try_from(nano).unwrap_or(if nano < 0 { i64::MIN } else { i64::MAX }))
    }

    /// Reads a decimal number of dollars (`0.0004`, `1e-7`), rounding what is finer than a nano-dollar up.
    #[must_use]
    pub fn from_decimal_ceil(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits_given = !whole.is_empty() || !fraction.is_empty();
        if !digits_given || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mut shift = exponent.checked_add(9)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        let mut value: i128 = 0;
        for byte in whole.bytes().chain(fraction.bytes()) {
            value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
        }
        let mut inexact = false;
        while shift > 0 && value != 0 {
            value = value.checked_mul(10)?;
            shift -= 1;
        }
        while shift < 0 && value != 0 {
            inexact |= value % 10 != 0;
            value /= 10;
            shift += 1;
        }
        let value = if negative { -value } else { value + i128::from(inexact) };
        i64::try_from(value).ok().map(Self)
    }
}

impl fmt::Display for Money {
    /// Dollars without needless zeros: `0.0000025`, `12`, `-0.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nano = self.0.unsigned_abs();
        let unit = Self::PER_USD.unsigned_abs();
        let (whole, mut fraction) = (nano / unit, nano % unit);
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        // HOT: answers carry what is left of a budget; numbers cost less than a text that is cut.
        let mut digits = 9;
        while fraction % 10 == 0 {
            fraction /= 10;
            digits -= 1;
        }
        write!(f, "{sign}{whole}.{fraction:0digits$}")
    }
}

/// Text that is not an amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an amount in dollars: write it like 5, 0.50 or 0.000001")]
pub struct NotMoney;

impl FromStr for Money {
    type Err = NotMoney;

    fn from_str(text: &str) -> Result<Self, NotMoney> {
        Self::from_decimal_ceil(text.trim().trim_start_matches('$')).ok_or(NotMoney)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_nano_dollars_and_round_up() {
        for (text, nano) in [
            ("0.000408", 408_000),
            ("5", 5_000_000_000),
            ("1e-9", 1),
            ("1e-10", 1),
            ("0.0000000001", 1),
            ("2.5E-6", 2_500),
            ("0", 0),
            (".5", 500_000_000),
            ("-0.5", -500_000_000),
            ("0e400", 0),
        ] {
            assert_eq!(Money::from_decimal_ceil(text), Some(Money(nano)), "{text}");
        }
        for text in ["", ".", "x", "1.2.3", "1e", "99999999999", "0x1", "1e999999999999", "NaN"] {
            assert_eq!(Money::from_decimal_ceil(text), None, "{text}");
        }
    }

    #[test]
    fn amounts_print_as_people_write_them() {
        for (nano, text) in [(0, "0"), (1, "0.000000001"), (1_500_000_000, "1.5"), (-250_000_000, "-0.25")] {
            assert_eq!(Money(nano).to_string(), text);
        }
    }

    #[test]
    fn femto_amounts_round_up() {
        assert_eq!(Money::from_femto_ceil(1), Money(1));
        assert_eq!(Money::from_femto_ceil(1_000_000), Money(1));
        assert_eq!(Money::from_femto_ceil(1_000_001), Money(2));
        assert_eq!(Money::from_femto_ceil(0), Money(0));
    }
}
