//! Generated sets: every format in every context, and what only looks like a secret. The scanner must find nearly all of
//! the first, name whose they are, and be silent on the second. A seed makes a set; nothing of it is ever stored.

mod contexts;
mod formats;
mod negatives;

use keyward_catalogue::Catalogue;
use keyward_scanner::{Confidence, Hints, Matcher};

/// A small generator of numbers, the same for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

struct Told {
    rule: String,
    provider: String,
    secret: Vec<u8>,
}

fn look(matcher: &Matcher, text: &str) -> Vec<Told> {
    let mut told = Vec::new();
    matcher.look(text.as_bytes(), &Hints::default(), &mut |hit| {
        if hit.confidence > Confidence::Low {
            told.push(Told {
                rule: hit.kind.rule.to_string(),
                provider: hit.kind.provider.as_deref().unwrap_or_default().to_owned(),
                secret: hit.secret.expose().to_vec(),
            });
        }
    });
    told
}

/// Percentages, in thousandths, of what a set shows; and in words what went wrong.
struct Score {
    recall: usize,
    precision: usize,
    named: usize,
    wrong: Vec<String>,
}

fn score(matcher: &Matcher, seed: u64) -> Score {
    let mut dice = Dice(seed);
    let (mut all, mut found, mut named, mut false_ones) = (0, 0, 0, 0);
    let mut wrong = Vec::new();
    for format in formats::all() {
        for (name, context) in contexts::all() {
            let key = format.key(&mut dice);
            let text = contexts::fill(context, &format, &key, &mut dice);
            let told = look(matcher, &text);
            all += 1;
            let hits = told.iter().filter(|one| one.secret == key.as_bytes()).count();
            found += usize::from(hits > 0);
            let right = told.iter().any(|one| one.secret == key.as_bytes() && one.provider == format.provider);
            named += usize::from(right);
            false_ones += told.len() - hits;
            if !right || told.len() > hits {
                let told: Vec<_> = told.iter().map(|one| (&one.rule, String::from_utf8_lossy(&one.secret))).collect();
                wrong.push(format!("{} in {name}: {told:?}\n    {text:?}", format.provider));
            }
        }
    }
    for _ in 0..4 {
        for (name, text) in negatives::all(&mut dice) {
            let told = look(matcher, &text);
            false_ones += told.len();
            if !told.is_empty() {
                let told: Vec<_> = told.iter().map(|one| (&one.rule, String::from_utf8_lossy(&one.secret))).collect();
                wrong.push(format!("negative {name}: {told:?}\n    {text:?}"));
            }
        }
    }
    Score {
        recall: found * 1000 / all,
        precision: found * 1000 / (found + false_ones),
        named: named * 1000 / all,
        wrong,
    }
}

#[test]
fn sets_are_large_enough() {
    assert!(formats::all().len() >= 50, "{}", formats::all().len());
    assert!(contexts::all().len() >= 45, "{}", contexts::all().len());
}

#[test]
fn nearly_all_is_found_and_named_and_nearly_nothing_else() {
    let matcher = Matcher::new(&Catalogue::embedded().expect("the embedded files are right"));
    for seed in [1, 2026, 0xdead_beef] {
        let score = score(&matcher, seed);
        let summary = format!(
            "seed {seed}: recall {}, precision {}, named {} of 1000",
            score.recall, score.precision, score.named
        );
        println!("{summary}");
        let good = score.recall >= 990 && score.precision >= 990 && score.named >= 980;
        assert!(good, "{}\n{summary}", score.wrong.join("\n"));
    }
}
