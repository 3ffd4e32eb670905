//! One pass over one text.

mod begun;
mod beside;
mod told;

use super::{
    Hints, Matcher,
    context::{Around, Named},
    derived::{self, Derived},
    edges,
    fake::{self, Tally},
    link,
    marks::Found,
    near::Near,
    pem,
    places::Places,
    proof, runs,
};
use crate::{
    Confidence, Hit, Secret,
    rule::{self, Bytes, Extent, Rule},
};
use std::{
    borrow::Cow,
    cell::OnceCell,
    cmp::Reverse,
    ops::{Range, RangeInclusive},
    rc::Rc,
};
use told::Stands;

/// How far before a run its beginning may lie: some keys begin with short parts.
const SLACK: usize = 32;

/// How long the secrets of AWS are that may hold `+` and `/`.
const AWS: RangeInclusive<usize> = 24..=64;

/// Whether a byte may stand in one.
fn is_aws(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// What may be a secret.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) rule: usize,
    pub(super) span: Range<usize>,
    pub(super) confidence: Confidence,
    /// How far the word is that told whose it is.
    pub(super) distance: usize,
    pub(super) reasons: Vec<Cow<'static, str>>,
    /// Whether it stands in parts.
    pub(super) parts: bool,
    /// What it reads once decoded, where that is not what stands there.
    pub(super) decoded: Option<Vec<u8>>,
}

/// How often a text may be encoded in another.
const DEEPEST: u8 = 3;

pub(super) struct Pass<'p> {
    matcher: &'p Matcher,
    text: &'p [u8],
    hints: &'p Hints<'p>,
    /// Which part of the text is looked at; the rest is read with it.
    own: Range<usize>,
    depth: u8,
    /// The words of rules in the names of the file, its members, tables and rows.
    names: Rc<OnceCell<Vec<(usize, String)>>>,
    places: Places,
    found: Vec<Candidate>,
    /// Up to where secrets in parts, and encoded ones, have been looked for.
    joined: usize,
    decoded: usize,
    stands: Option<Stands<'p>>,
    near: Near,
}

impl<'p> Pass<'p> {
    pub(super) fn new(matcher: &'p Matcher, text: &'p [u8], hints: &'p Hints<'p>) -> Self {
        Self {
            matcher,
            text,
            hints,
            own: 0..text.len(),
            depth: 0,
            names: Rc::default(),
            places: Places::of(text),
            found: Vec::new(),
            joined: 0,
            decoded: 0,
            stands: None,
            near: Near::default(),
        }
    }

    /// Looks at the whole text.
    fn search(&mut self) {
        let text = self.text;
        let places = std::mem::take(&mut self.places);
        let mut scanned = 0;
        places.runs(|run| {
            if run.end > self.own.start && run.start < self.own.end {
                let before = self.found.len();
                self.beginnings(&places, run.start.saturating_sub(SLACK).max(scanned)..run.end);
                self.behind_lengths(&run);
                // Most runs are names in programs, which only a beginning could make a secret.
                let word = self.slice(run.clone());
                let tally = Tally::of(word);
                if tally.may_be_random() {
                    let mixed = tally.is_mixed(word);
                    let random = self.run(&run, mixed, true);
                    self.within_run(&run);
                    self.encoded(&run);
                    if mixed && self.found.len() == before {
                        self.stressed(&run);
                        self.assigned(&run, random);
                    }
                }
            }
            scanned = run.end;
        });
        let marks = self.matcher.marks.find(text, &places);
        for (index, at) in &marks.far {
            if let Some(begin) = self.matcher.far.get(*index) {
                self.begun(*at, begin);
            }
        }
        self.wide(&marks);
        if self.depth == 0 {
            marks.joints.iter().for_each(|at| self.joint(*at));
        }
        link::each(text, &marks.addresses, |span, confidence| {
            self.add(rule::ADDRESS, span, confidence, "a password stands in an address");
        });
        pem::each(text, &marks.private, |span, confidence, reason| match fake::is_tested(text, &span) {
            true => self.add(rule::PRIVATE_KEY, span, Confidence::Low, "it stands in a test or a comment"),
            false => self.add(rule::PRIVATE_KEY, span, confidence, reason),
        });
        if self.depth < DEEPEST {
            derived::escapes(text, &marks.escapes, |derived| self.within(&derived));
        }
    }

    fn add(&mut self, rule: usize, span: Range<usize>, confidence: Confidence, reason: &'static str) {
        self.found.push(Candidate {
            rule,
            span,
            confidence,
            distance: usize::MAX,
            reasons: vec![reason.into()],
            parts: false,
            decoded: None,
        });
    }

    /// Looks at a text that was read out of this one.
    fn within(&mut self, derived: &Derived) {
        let pass = Pass {
            own: derived.own.clone(),
            depth: self.depth + 1,
            names: Rc::clone(&self.names),
            ..Pass::new(self.matcher, &derived.text, self.hints)
        };
        self.take(pass, derived, |pass| pass.search());
    }

    fn take<'d>(&mut self, mut pass: Pass<'d>, derived: &'d Derived, search: impl FnOnce(&mut Pass<'d>)) {
        search(&mut pass);
        for mut one in pass.found {
            if one.span.start < derived.own.start || one.span.end > derived.own.end {
                continue;
            }
            let plain = derived.text.get(one.span.clone()).unwrap_or_default();
            one.decoded.get_or_insert_with(|| plain.to_vec());
            let place = derived.place(&one.span);
            one.parts |= place.len() > one.span.len() && derived.joined;
            one.span = place;
            self.found.push(one);
        }
    }

    /// Some secrets may hold bytes that end a run so early that none is long enough. Next to names that tell of them, all
    /// words are tried.
    fn wide(&mut self, marks: &Found) {
        for at in &marks.tildes {
            self.plain(&(at.saturating_sub(4)..at + 2));
        }
        let mut done = 0;
        for range in &marks.wide {
            let mut at = range.start.max(done);
            if at > done {
                let before = self.slice(at.saturating_sub(AWS.end() + 1).max(done)..at);
                at -= before.iter().rev().take_while(|byte| is_aws(**byte)).count();
            }
            while at < range.end {
                // A word that is long enough has no other byte in so many: what is before the last such is none of it.
                let Some(head) = self.text.get(at..at + AWS.start()) else { break };
                if let Some(end) = head.iter().rposition(|byte| !is_aws(*byte)) {
                    at += end + 1;
                    continue;
                }
                let rest = self.slice(at..self.text.len().min(at + 100));
                let length = rest.iter().take_while(|byte| is_aws(**byte)).count();
                let word = at..at + length;
                if AWS.contains(&length) && self.slice(word.clone()).iter().any(|byte| matches!(byte, b'+' | b'/')) {
                    self.plain(&word);
                }
                at = word.end + 1;
            }
            done = at.max(done);
        }
    }

    /// Tries what a run reads when it is base64 or hexadecimal digits.
    fn encoded(&mut self, run: &Range<usize>) {
        if self.depth >= DEEPEST || run.start < self.decoded {
            return;
        }
        let start = self.start(run);
        let derived = derived::base64(self.text, start)
            .or_else(|| derived::hexadecimal(self.text, &(start..run.end)))
            .or_else(|| {
                let word = self.slice(run.clone());
                let coded = &self.matcher.coded;
                let found = self.matcher.coded_groups.may_hold(word).then(|| coded.get()?.find(word))??;
                let before = self.matcher.phases.get(found.pattern().as_usize())?;
                derived::base64_around(self.text, (run.start + found.start()).checked_sub(*before)?)
            });
        if let Some(derived) = derived {
            self.decoded = derived.place(&derived.own).end;
            self.within(&derived);
        }
    }

    /// Tries the word that ends at a place as a part of a secret.
    fn joint(&mut self, end: usize) {
        let before = self.slice(end.saturating_sub(600).max(self.joined.min(end))..end);
        let length = before.iter().rev().take_while(|byte| runs::is_run(**byte)).count();
        if length >= 3 {
            self.parts(&(end - length..end));
        }
    }

    /// Tries what a run reads together with the parts that a program joins it with.
    fn parts(&mut self, run: &Range<usize>) {
        if self.depth > 0 || run.start < self.joined {
            return;
        }
        let Some(joined) = derived::joined(self.text, run) else { return };
        self.joined = joined.end();
        if joined.len() < runs::LEAST {
            return;
        }
        let list = joined.list;
        // Most are words for people.
        let alone = joined.alone(self.text);
        let random = !list && Tally::of(&alone).may_hold_random();
        if !random && !self.matcher.beginnings.may_stand_in(&alone) {
            return;
        }
        let derived = joined.read(self.text);
        let pass = Pass {
            own: derived.own.clone(),
            depth: DEEPEST,
            names: Rc::clone(&self.names),
            ..Pass::new(self.matcher, &derived.text, self.hints)
        };
        let own = derived.own.clone();
        self.take(pass, &derived, |pass| {
            let places = std::mem::take(&mut pass.places);
            pass.beginnings(&places, own.clone());
            // Of a list of hashes any two would make something.
            if !list {
                if own.len() <= 128 {
                    pass.plain(&own);
                }
                Places::of(pass.slice(own.clone())).runs(|run| {
                    let run = run.start + own.start..run.end + own.start;
                    pass.plain(&run);
                    pass.within_run(&run);
                });
            }
        });
    }

    /// Tries what stands between the signs with which Markdown stresses it.
    fn stressed(&mut self, run: &Range<usize>) {
        let signs = self.slice(run.clone()).iter().take(4).take_while(|byte| **byte == b'_').count();
        let after = self.slice(run.clone()).iter().rev().take(signs).take_while(|byte| **byte == b'_').count();
        if (1..=3).contains(&signs) && after == signs && run.len() >= runs::LEAST + 2 * signs {
            self.plain(&(run.start + signs..run.end - signs));
        }
    }

    /// A mixed text that is random, and named like a secret.
    fn assigned(&mut self, run: &Range<usize>, random: Option<bool>) {
        let word = self.slice(run.clone());
        if run.len() <= 200
            && random != Some(false)
            && self.named(run) == Named::Secret
            && fake::may_name(self.slice(run.start.saturating_sub(80)..run.start))
            && random.unwrap_or_else(|| fake::reason(word).is_none())
        {
            self.add(rule::ASSIGNMENT, run.clone(), Confidence::Low, "it is random, and named like a secret");
        }
    }

    /// Where a run begins without the end of an escape that it may begin with.
    fn start(&self, run: &Range<usize>) -> usize {
        let before = run.start.checked_sub(1).and_then(|at| self.text.get(at));
        if !before.is_some_and(|byte| matches!(byte, b'\\' | b'%' | b'[' | b';')) {
            return run.start;
        }
        (run.start..run.end.min(run.start + 6)).find(|at| edges::after_escape(self.text, *at)).unwrap_or(run.start)
    }

    fn slice(&self, range: Range<usize>) -> &'p [u8] {
        self.text.get(range).unwrap_or_default()
    }

    /// A text that a rule fits. `odd`: what is not quite right about it.
    fn fits(&mut self, index: usize, rule: &Rule, span: Range<usize>, prefix: usize, odd: Option<&'static str>) {
        let secret = self.slice(span.clone());
        let body = secret.get(prefix..).unwrap_or_default();
        // Without a beginning, it was seen to be random before it was tried.
        if prefix > 0 && fake::reason(body).is_some() {
            return;
        }
        let mut reasons: Vec<Cow<'static, str>> = Vec::new();
        let mut distance = usize::MAX;
        let mut confidence = if rule.prefixes.is_empty() || !rule.context.is_empty() {
            match self.told(index, &span) {
                Some((far, told, reason)) => {
                    distance = far;
                    reasons.push(reason.into());
                    // A beginning says something, even where others have it too.
                    let least = if prefix > 0 { Confidence::Medium } else { Confidence::Low };
                    told.max(least).min(rule.told)
                }
                None => {
                    let Some(alone) = rule.alone else { return };
                    reasons.push("only such keys look like it, whatever stands around".into());
                    alone
                }
            }
        } else {
            reasons.push("it begins and ends as only such keys do".into());
            rule.told
        };
        if let Some(odd) = odd {
            let told = distance < usize::MAX || rule.context.is_empty();
            confidence = confidence.min(if told { Confidence::Medium } else { Confidence::Low });
            reasons.push(odd.into());
        }
        if &*rule.kind.rule == "age/key" && fake::is_tested(self.text, &span) {
            confidence = Confidence::Low;
            reasons.push("it stands in a test or a comment".into());
        }
        if &*rule.kind.rule == "gemini/standard"
            && fake::is_shown(self.slice(Around::new(self.text, span.clone()).window().clone()))
        {
            confidence = Confidence::Low;
            reasons.push("web pages show such keys to everybody".into());
        }
        let is_named = || self.stands.as_ref().is_some_and(Stands::is_called_secret);
        if prefix == 0 && fake::is_hexadecimal(secret) && is_of_more_than_digits(rule) && !is_named() {
            confidence = Confidence::Low;
            reasons.push("it is hexadecimal, as hashes are and such keys are not".into());
        }
        match proof::of(rule.proof, secret) {
            proof::Verdict::Holds(reason) => {
                confidence = Confidence::Certain;
                reasons.push(reason);
            }
            proof::Verdict::Fails(most, reason) => {
                let Some(most) = most else { return };
                confidence = confidence.min(most);
                reasons.push(reason);
            }
            proof::Verdict::Says(reason) => reasons.push(reason),
            proof::Verdict::Nothing => {}
        }
        self.found.push(Candidate { rule: index, span, confidence, distance, reasons, parts: false, decoded: None });
    }

    /// Tries the rules whose secrets begin in no telling way at a run.
    fn plain(&mut self, run: &Range<usize>) {
        let word = self.slice(run.clone());
        self.run(run, Tally::of(word).is_mixed(word), false);
    }

    /// The same, where it is known whether the text is a mixture, and whether it is a run. Tells whether all of it is
    /// random, if that was looked at.
    fn run(&mut self, run: &Range<usize>, mut mixed: bool, is_run: bool) -> Option<bool> {
        let matcher = self.matcher;
        let start = self.start(run);
        let trimmed = start > run.start;
        let run = start..run.end;
        let word = self.slice(run.clone());
        if trimmed {
            mixed = Tally::of(word).is_mixed(word);
        }
        let mut random = None;
        if let Some(groups) = matcher.plain.get(run.len()).filter(|groups| mixed && !groups.is_empty()) {
            let bytes = Bytes::of(word);
            for (extent, rules) in groups {
                let beyond = |at: Option<usize>| {
                    extent.wide
                        && at
                            .and_then(|at| self.text.get(at))
                            .is_some_and(|byte| *byte != b'=' && extent.alphabet.has(*byte))
                };
                if bytes.within(&extent.alphabet)
                    && (trimmed || !beyond(run.start.checked_sub(1)))
                    && !beyond(Some(run.end))
                    && *random.get_or_insert_with(|| fake::reason(word).is_none())
                {
                    rules.iter().for_each(|index| self.whole(*index, run.clone()));
                }
            }
        }
        self.beside(&run, is_run);
        random.filter(|_| !trimmed)
    }

    /// Tries the rules whose secrets hold other bytes than runs do, where such bytes stand in a text or beside it.
    fn beside(&mut self, run: &Range<usize>, is_run: bool) {
        let matcher = self.matcher;
        let beside =
            |at: Option<usize>| at.and_then(|at| self.text.get(at)).is_some_and(|byte| b".:+/=~@$%".contains(byte));
        if !beside(run.start.checked_sub(1))
            && !beside(Some(run.end))
            && (is_run || self.slice(run.clone()).iter().all(|byte| runs::is_run(*byte)))
        {
            return;
        }
        // Most of what has such bytes beside it is a path or a name in a program, which no such secret is.
        let is_part = |byte: &u8| runs::is_run(*byte) || b".:+/=~@$%".contains(byte);
        let before =
            self.slice(run.start.saturating_sub(100)..run.start).iter().rev().take_while(|byte| is_part(byte)).count();
        let after =
            self.slice(run.end..self.text.len().min(run.end + 100)).iter().take_while(|byte| is_part(byte)).count();
        if !Tally::of(self.slice(run.start - before..run.end + after)).may_be_random() {
            return;
        }
        let mut last = None;
        for (extent, rules) in &matcher.wide {
            if let Some(span) = self.extended(run.clone(), extent).filter(|span| self.is_apart(span)) {
                // Most rules that fit at all fit the same stretch.
                let random = match &last {
                    Some((same, random)) if *same == span => *random,
                    _ => fake::is_random(self.slice(span.clone())),
                };
                last = Some((span.clone(), random));
                if random {
                    rules.iter().for_each(|index| self.whole(*index, span.clone()));
                }
            }
        }
    }

    /// Tries a rule on a whole word.
    fn whole(&mut self, index: usize, span: Range<usize>) {
        let Some(rule) = self.matcher.rules.get(index) else { return };
        let secret = self.slice(span.clone());
        // What nothing near it tells of is seen sooner than whether the pattern fits.
        if rule.alone.is_none() && self.told(index, &span).is_none() {
            return;
        }
        if rule.compiled().and_then(|compiled| compiled.exact(secret)) == Some(secret.len()) {
            self.fits(index, rule, span, 0, None);
        }
    }

    /// A run with all bytes around it that a rule's secrets are made of, if need be without those at the ends that only
    /// separate; None when it is too short or too long.
    fn extended(&self, run: Range<usize>, extent: &Extent) -> Option<Range<usize>> {
        let byte = |at: usize| self.text.get(at).copied().unwrap_or(0);
        let inside = |at: usize| at < self.text.len() && extent.alphabet.has(byte(at));
        let fits = |range: &Range<usize>| (extent.least..=extent.most).contains(&range.len());
        let mut range = run;
        if !extent.wide {
            return fits(&range).then_some(range);
        }
        while range.start > 0
            && range.len() <= extent.most + 4
            && inside(range.start - 1)
            && byte(range.start - 1) != b'='
            && !edges::after_escape(self.text, range.start)
        {
            range.start -= 1;
        }
        while range.len() <= extent.most + 4 && inside(range.end) {
            range.end += 1;
        }
        let separates = |at: usize| matches!(byte(at), b'.' | b':' | b'-' | b'_' | b'/' | b'+');
        if fits(&range) {
            return Some(range);
        }
        while !range.is_empty() && separates(range.start) {
            range.start += 1;
        }
        while !range.is_empty() && separates(range.end - 1) {
            range.end -= 1;
        }
        fits(&range).then_some(range)
    }

    /// The secrets in the text, in order.
    pub(super) fn hits(mut self) -> Vec<Hit> {
        self.search();
        // Of two that overlap, the surer is meant; of two alike, the longer, then the one whose rule comes first.
        self.found.sort_by_key(|one| {
            (
                one.confidence == Confidence::Low,
                one.parts,
                Reverse(one.confidence),
                Reverse(one.span.len()),
                one.distance,
                one.rule,
            )
        });
        let mut kept: Vec<Candidate> = Vec::new();
        for one in self.found.drain(..) {
            if kept.iter().all(|other| other.span.end <= one.span.start || one.span.end <= other.span.start) {
                kept.push(one);
            }
        }
        kept.sort_by_key(|one| one.span.start);
        let (text, matcher) = (self.text, self.matcher);
        let hit = |one: Candidate| {
            let rule = matcher.rules.get(one.rule).filter(|rule| !rule.public)?;
            let plain = text.get(one.span.clone()).unwrap_or_default();
            Some(Hit {
                kind: rule.kind.clone(),
                secret: Secret::new(one.decoded.as_deref().unwrap_or(plain)),
                span: one.span,
                confidence: one.confidence,
                reasons: one.reasons.into_iter().map(|reason| reason.into_owned().into()).collect(),
            })
        };
        kept.into_iter().filter_map(hit).collect()
    }
}

/// Whether a rule's secrets are made of more than hexadecimal digits.
fn is_of_more_than_digits(rule: &Rule) -> bool {
    rule.compiled().is_some_and(|compiled| (b'g'..=b'z').all(|byte| compiled.alphabet.has(byte)))
}
