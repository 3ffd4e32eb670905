//! Makes texts that fit a pattern, so that tests and emulators have keys of every shape and no file ever holds one.

use regex_syntax::{
    ParserBuilder,
    hir::{Class, Hir, HirKind},
};

/// How many parts of a pattern are walked at most: nested repetitions must not run away.
const MOST_STEPS: u32 = 20_000;

/// A text that fits a pattern. The same seed gives the same text. `None` when the pattern is not one that can be
/// sampled (look-arounds, classes outside ASCII, repetitions within repetitions without end) or does not parse.
#[must_use]
pub fn text(pattern: &str, seed: u64) -> Option<String> {
    let hir = ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).ok()?;
    let mut out = Vec::new();
    write(&hir, &mut Dice { state: seed.wrapping_mul(2).wrapping_add(1), steps: MOST_STEPS }, &mut out)?;
    String::from_utf8(out).ok()
}

/// A small generator of numbers (SplitMix64): good enough to vary examples, never for real secrets.
struct Dice {
    state: u64,
    steps: u32,
}

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let end = end.max(1) as u64;
        usize::try_from((mixed ^ (mixed >> 31)) % end).unwrap_or(0)
    }
}

fn write(hir: &Hir, dice: &mut Dice, out: &mut Vec<u8>) -> Option<()> {
    dice.steps = dice.steps.checked_sub(1)?;
    match hir.kind() {
        HirKind::Empty => Some(()),
        HirKind::Literal(literal) => {
            out.extend(&literal.0);
            Some(())
        }
        HirKind::Class(class) => {
            let choices = members(class)?;
            out.push(*choices.get(dice.below(choices.len()))?);
            Some(())
        }
        HirKind::Look(_) => None,
        HirKind::Repetition(repetition) => {
            let least = repetition.min;
            let most = repetition.max.unwrap_or(least + 8);
            let spread = usize::try_from(most - least).ok()? + 1;
            let times = usize::try_from(least).ok()? + dice.below(spread);
            (0..times).try_for_each(|_| write(&repetition.sub, dice, out))
        }
        HirKind::Capture(capture) => write(&capture.sub, dice, out),
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| write(part, dice, out)),
        HirKind::Alternation(branches) => write(branches.get(dice.below(branches.len()))?, dice, out),
    }
}

/// The characters of a class; `None` when any is outside ASCII.
fn members(class: &Class) -> Option<Vec<u8>> {
    let ranges: Vec<(u8, u8)> = match class {
        Class::Bytes(class) => class.ranges().iter().map(|range| (range.start(), range.end())).collect(),
        Class::Unicode(class) => class
            .ranges()
            .iter()
            .map(|range| Some((u8::try_from(range.start()).ok()?, u8::try_from(range.end()).ok()?)))
            .collect::<Option<_>>()?,
    };
    let all: Vec<u8> = ranges.into_iter().flat_map(|(from, to)| from..=to).collect();
    (!all.is_empty() && all.is_ascii()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_fit_and_follow_the_seed() {
        for pattern in ["ab[0-9]{3}", "x(?:a|bc)[A-Za-z0-9_-]{2,5}y?", "[a-f0-9]{32}"] {
            let whole = crate::shape::compile(&format!("^(?:{pattern})$")).unwrap();
            for seed in 0..50 {
                let sample = text(pattern, seed).unwrap();
                assert!(whole.is_match(&sample), "{pattern} {sample}");
                assert_eq!(text(pattern, seed).unwrap(), sample);
            }
        }
        assert_ne!(text("[a-z]{20}", 1), text("[a-z]{20}", 2));
    }

    #[test]
    fn what_cannot_be_sampled_is_said() {
        assert_eq!(text("a(", 0), None);
        assert_eq!(text("^a", 0), None);
        assert_eq!(text(&format!("{}a{}", "(".repeat(20), "{8})".repeat(20)), 0), None, "it would never end");
    }
}
