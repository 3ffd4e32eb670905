//! Looking at the changes of a version alone must find what looking at the whole of it finds: both are done, and compared.

use super::{
    changes::unchanged,
    contents::Contents,
    id::Id,
    object::Kind,
    objects::{Each, Objects, Source},
    pack::{Changes, Fault, Seen},
    repository::Repository,
};
use crate::{Bounds, Confidence, Matcher, Progress, Rules, Scan};
use keyward_catalogue::{Catalogue, sample};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{Read, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::LazyLock,
};

static MATCHER: LazyLock<Matcher> = LazyLock::new(|| Matcher::new(&Catalogue::embedded().unwrap()));

/// Looks at versions, perhaps without being told what changed in them.
struct Looks<'s> {
    contents: Contents<'s>,
    matcher: &'s Matcher,
    told: bool,
    skipped: usize,
}

impl Each for Looks<'_> {
    fn object(&mut self, id: &Id, kind: Kind, bytes: &[u8], changes: Option<&Changes>) -> Seen {
        let seen = self.contents.object(id, kind, bytes, changes.filter(|_| self.told));
        let skips = |changes| unchanged(self.matcher, bytes, changes);
        self.skipped += usize::from(self.told && kind == Kind::Blob && changes.is_some_and(skips));
        seen
    }

    fn stream(&mut self, id: &Id, kind: Kind, size: u64, reader: &mut dyn Read) {
        self.contents.stream(id, kind, size, reader);
    }

    fn fault(&mut self, id: Option<&Id>, file: &Path, fault: &Fault) {
        self.contents.fault(id, file, fault);
    }
}

/// A find: rule, place, confidence, secret.
type Find = (Box<str>, std::ops::Range<u64>, Confidence, Vec<u8>);

/// What is found in each blob of a repository, and how many versions were called clean by their changes.
fn found(folder: &Path, matcher: &Matcher, told: bool) -> (BTreeMap<Box<str>, Vec<Find>>, usize) {
    let progress = Progress::default();
    let scan = Scan { matcher, bounds: Bounds::default(), threads: 2, progress: &progress };
    let repository = Repository::discover(folder).unwrap();
    let objects = Objects::open(repository.object_folders().0, repository.format);
    let mut looks: Vec<Looks<'_>> =
        (0..2).map(|_| Looks { contents: Contents::new(&scan), matcher, told, skipped: 0 }).collect();
    objects.each(&[Kind::Blob], &mut Source::default(), &mut looks);
    let skipped = looks.iter().map(|look| look.skipped).sum();
    let blobs = looks.into_iter().flat_map(|look| look.contents.blobs);
    let finds = blobs.map(|blob| {
        let finds = blob.seen.into_iter();
        let find = |seen: crate::Seen| {
            (seen.hit.kind.rule.clone(), seen.span, seen.hit.confidence, seen.hit.secret.expose().to_vec())
        };
        (blob.id.hex(), finds.map(find).collect())
    });
    (finds.collect(), skipped)
}

/// Finds in both ways, which must be the same; tells how many blobs have finds, and how many were clean by their changes.
fn compare(folder: &Path, matcher: &Matcher) -> (usize, usize) {
    let (told, skipped) = found(folder, matcher, true);
    let (whole, none) = found(folder, matcher, false);
    assert_eq!(none, 0);
    let missed: Vec<_> = whole.iter().filter(|(id, finds)| told.get(*id) != Some(*finds)).collect();
    let shown = missed.iter().take(5).map(|(id, finds)| {
        let rules: Vec<_> = finds.iter().map(|find| (&find.0, &find.1, find.2)).collect();
        format!("{id} {rules:?}")
    });
    assert!(missed.is_empty(), "{} of {}: {:?}", missed.len(), whole.len(), shown.collect::<Vec<_>>());
    assert_eq!(told.len(), whole.len());
    (whole.len(), skipped)
}

fn git(folder: &Path, arguments: &[&str], input: &[u8]) {
    let mut command = Command::new("git");
    command.env_clear().env("PATH", env!("PATH")).env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1");
    let mut child = command.args(arguments).current_dir(folder).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    assert!(child.wait().unwrap().success(), "git {arguments:?}");
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// A line: most are ordinary, some are what rules look at.
fn line(dice: &mut Dice, seed: u64) -> String {
    let key = |pattern: &str| sample::text(pattern, seed).unwrap();
    match dice.below(150) {
        0 => format!("ANTHROPIC_API_KEY={}", key("sk-ant-api03-[A-Za-z0-9_-]{93}AA")),
        1 => format!("value = \"{}\"", key("[A-Za-z0-9]{32}")),
        2 => "# the key of mistral stands below".to_owned(),
        3 => format!("md5 = {}", key("[a-f0-9]{32}")),
        4 => format!("part = \"{}\" +", key("sk-ant-api03-[A-Za-z0-9_-]{40}")),
        5 => format!("    \"{}\"", key("[A-Za-z0-9_-]{53}AA")),
        6 => format!("password: {}", key("[A-Za-z0-9]{20}")),
        7 => format!("data:{}", key("[A-Za-z0-9+/]{900}")),
        8 => "aws_secret_access_key:".to_owned(),
        9 => format!("  {}", key("[A-Za-z0-9/+]{40}")),
        10 => format!("postgres://app:{}@db.internal.net/app", key("[A-Za-z0-9]{18}")),
        11 => "cohere = Client(".to_owned(),
        12 => format!("  '{}')", key("[A-Za-z0-9]{40}")),
        _ => format!("let number_{} = calculate({}, {});", dice.below(500), dice.below(90), dice.below(9)),
    }
}

/// Changes a file as people do: lines come, go, move and come back, and words within lines change.
fn change(dice: &mut Dice, lines: &mut Vec<String>, old: &[Vec<String>], seed: u64) {
    for _ in 0..=dice.below(3) {
        let at = dice.below(lines.len().max(1));
        match dice.below(9) {
            0 | 1 => lines.insert(at, line(dice, seed)),
            2 if lines.len() > 30 => drop(lines.drain(at..(at + dice.below(4)).min(lines.len()))),
            3 => {
                let other = dice.below(lines.len().max(1));
                if at < lines.len() {
                    let moved = lines.remove(at);
                    lines.insert(other.min(lines.len()), moved);
                }
            }
            4 => {
                // A line is joined with the next, or cut in two: secrets and names come together or apart.
                if at + 1 < lines.len() {
                    let next = lines.remove(at + 1);
                    lines[at].push_str(&next);
                }
            }
            5 => {
                if let Some(text) = lines.get_mut(at).filter(|text| text.is_ascii()) {
                    let cut = dice.below(text.len().max(1));
                    let (left, right) = (text[..cut].to_owned(), text[cut..].to_owned());
                    *text = left;
                    lines.insert(at + 1, right);
                }
            }
            6 => {
                if let Some(text) = lines.get_mut(at) {
                    *text = text.replace("md5", "mistral").replace("number", "token");
                }
            }
            7 if dice.below(12) == 0 => lines.clone_from(&old[dice.below(old.len())]),
            _ => {
                if let Some(text) = lines.get_mut(at).filter(|text| text.is_ascii() && !text.is_empty()) {
                    let cut = dice.below(text.len());
                    text.remove(cut);
                }
            }
        }
    }
}

/// A repository with many versions of a few files, which also change their names.
fn history(folder: &Path, commits: usize, seed: u64) {
    git(folder, &["init", "-q", "-b", "main"], b"");
    let mut dice = Dice(seed);
    let sizes = [40, 300, 1_500];
    let mut files: Vec<Vec<Vec<String>>> = sizes
        .iter()
        .map(|size| vec![(0..*size).map(|_| format!("let number_{} = {};", dice.below(900), dice.below(90))).collect()])
        .collect();
    let mut stream = String::new();
    for commit in 0..commits {
        let number = dice.below(files.len());
        let (file, moved) = (&mut files[number], commit / 50);
        let mut lines = file.last().unwrap().clone();
        change(&mut dice, &mut lines, file, u64::try_from(commit).unwrap());
        let content = lines.join("\n") + "\n";
        file.push(lines);
        writeln!(stream, "commit refs/heads/main\ncommitter A <a@example.org> {} +0000", 1_700_000_000 + commit)
            .unwrap();
        writeln!(stream, "data 1\nx\nM 100644 inline dir{moved}/file{number}").unwrap();
        writeln!(stream, "data {}\n{content}", content.len()).unwrap();
    }
    git(folder, &["fast-import", "--quiet"], stream.as_bytes());
}

#[test]
fn what_changes_alone_tell_is_what_the_whole_tells() {
    for (seed, repack) in [
        (1, &["repack", "-q", "-adf", "--depth=250", "--window=50"][..]),
        (2, &["repack", "-q", "-adf", "--depth=4000", "--window=10"]),
        (3, &["gc", "-q"]),
        (4, &["gc", "-q", "--aggressive"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        history(folder.path(), 240, seed);
        let (finds, loose) = compare(folder.path(), &MATCHER);
        git(folder.path(), &[&["-c", "gc.auto=0"], repack].concat(), b"");
        let packs = fs::read_dir(folder.path().join(".git/objects/pack")).unwrap().count();
        assert!(packs >= 2, "{packs}");
        let (packed, skipped) = compare(folder.path(), &MATCHER);
        assert_eq!(finds, packed, "however it is packed");
        assert!(finds > 20 && skipped > 10, "{repack:?}: {finds} finds, {skipped} skipped, {loose} before");
    }
}

/// Rules of others may look further around a secret than those of the program.
#[test]
fn rules_of_others_look_at_the_whole() {
    let rules = "[[rules]]\nid = 'corp'\nregex = '(?s)corp.*?(c0[0-9a-f]{16})'\nkeywords = ['corp']\n";
    let matcher = Matcher::new(&Catalogue::embedded().unwrap()).with_rules(Rules::parse(rules).unwrap());
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "-q", "-b", "main"], b"");
    let filler = |count: usize| "some words of a text\n".repeat(count);
    let mut stream = String::new();
    for (at, name) in ["nothing", "nobody", "corp", "noone"].iter().enumerate() {
        let content =
            format!("{}{name}\n{}id c0{:016x}\n{}", filler(200), filler(75), 0x0123_4567_89ab_u64, filler(200));
        writeln!(stream, "commit refs/heads/main\ncommitter A <a@example.org> {} +0000", 1_700_000_000 + at).unwrap();
        writeln!(stream, "data 1\nx\nM 100644 inline file\ndata {}\n{content}", content.len()).unwrap();
    }
    git(folder.path(), &["fast-import", "--quiet"], stream.as_bytes());
    git(folder.path(), &["repack", "-q", "-adf"], b"");
    assert_eq!(compare(folder.path(), &matcher), (1, 0));
    let (finds, skipped) = compare(folder.path(), &MATCHER);
    assert!(finds == 0 && skipped > 0, "{finds} {skipped}");
}
