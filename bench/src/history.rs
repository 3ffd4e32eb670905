//! A repository to scan the history of, made once: real sources, changed line by line in thousands of commits, and packed
//! as well as git packs. Lines move between files, so that nothing in it is of any known program.

use anyhow::{Context, Result, ensure};
use std::{
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// How much all versions of all files are, unpacked, in bytes.
const BYTES: u64 = 2_000_000_000;
/// How many files it has at most.
const FILES: usize = 6_000;
/// How large these are, in bytes.
const SIZES: std::ops::Range<u64> = 1_000..100_000;
/// When its first commit is said to have been made.
const BEGUN: u64 = 1_400_000_000;

/// A small generator of numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }
}

/// One file as it stands now.
struct Page<'t> {
    path: String,
    lines: Vec<&'t [u8]>,
}

/// The repository in a folder, made there from the sources in another unless that was done before.
pub fn repository(folder: &Path, sources: &Path) -> Result<PathBuf> {
    let repository = folder.join("history.git");
    let done = folder.join("history-done");
    if done.exists() {
        return Ok(repository);
    }
    println!(
        "  making a repository of {} MB of versions in {}: some minutes, once",
        BYTES / 1_000_000,
        folder.display()
    );
    if repository.exists() {
        fs::remove_dir_all(&repository)?;
    }
    git(Command::new("git").args(["init", "--quiet", "--bare", "--initial-branch=main"]).arg(&repository))?;
    let mut import = Command::new("git")
        .arg("-C")
        .arg(&repository)
        .args(["fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()
        .context("git fast-import")?;
    let stream = import.stdin.take().context("no standard input")?;
    let written = write(&mut BufWriter::with_capacity(1 << 20, stream), sources);
    ensure!(import.wait()?.success(), "git fast-import failed");
    written?;
    let repack = ["-c", "pack.windowMemory=256m", "repack", "-a", "-d", "-f", "--quiet", "--depth=50", "--window=10"];
    git(Command::new("git").arg("-C").arg(&repository).args(repack))?;
    fs::write(done, "")?;
    Ok(repository)
}

fn git(command: &mut Command) -> Result<()> {
    ensure!(command.status().context("git")?.success(), "{command:?} failed");
    Ok(())
}

/// Writes all commits.
fn write(out: &mut impl Write, sources: &Path) -> Result<()> {
    let files = files(sources)?;
    let texts: Vec<(String, Vec<u8>)> =
        files.into_iter().filter_map(|path| Some((name(&path, sources)?, fs::read(&path).ok()?))).collect();
    ensure!(texts.len() > 500, "{}: not enough sources", sources.display());
    let mut pages: Vec<Page<'_>> = texts
        .iter()
        .map(|(path, text)| Page { path: path.clone(), lines: text.split_inclusive(|byte| *byte == b'\n').collect() })
        .collect();
    let (mut dice, mut left, mut at) = (Dice(2026), BYTES, 0_u64);
    // Large files are changed most.
    pages.sort_by_key(|page| std::cmp::Reverse(page.lines.len()));
    let mut first: Vec<usize> = (0..pages.len()).collect();
    while left > 0 {
        // The first commits add the files, later ones change some.
        let chosen: Vec<usize> = match first.len() {
            0 => (0..=dice.below(7)).map(|_| dice.below(pages.len()) * dice.below(pages.len()) / pages.len()).collect(),
            some => first.drain(..some.min(50)).collect(),
        };
        let message = message(&texts, &mut dice);
        let time = BEGUN + at * 7_200;
        write!(
            out,
            "commit refs/heads/main\ncommitter Bench <bench@localhost> {time} +0000\ndata {}\n",
            message.len()
        )?;
        out.write_all(&message)?;
        for index in chosen {
            if at * 50 >= pages.len() as u64 {
                change(&mut pages[index], &texts, &mut dice);
            }
            let page = &pages[index];
            let size: usize = page.lines.iter().map(|line| line.len()).sum();
            write!(out, "\nM 100644 inline {}\ndata {size}\n", page.path)?;
            for line in &page.lines {
                out.write_all(line)?;
            }
            left = left.saturating_sub(size as u64);
        }
        out.write_all(b"\n")?;
        at += 1;
    }
    Ok(out.flush()?)
}

/// A few lines go, a few come from elsewhere.
fn change<'t>(page: &mut Page<'t>, texts: &'t [(String, Vec<u8>)], dice: &mut Dice) {
    for _ in 0..=dice.below(4) {
        let at = dice.below(page.lines.len());
        let gone = dice.below(6).min(page.lines.len() - at);
        let from = &texts[dice.below(texts.len())].1;
        let some: Vec<&[u8]> = from
            .get(dice.below(from.len())..)
            .unwrap_or_default()
            .split_inclusive(|byte| *byte == b'\n')
            .skip(1)
            .take(dice.below(6))
            .filter(|line| line.ends_with(b"\n"))
            .collect();
        page.lines.splice(at..at + gone, some);
    }
}

/// A line of some text.
fn message(texts: &[(String, Vec<u8>)], dice: &mut Dice) -> Vec<u8> {
    let text = &texts[dice.below(texts.len())].1;
    let line = text.split(|byte| *byte == b'\n').find(|line| line.len() > 20).unwrap_or_default();
    [&line[..line.len().min(120)], b"\n"].concat()
}

/// The path of a file in the repository; None where git would have to be told it with quotes.
fn name(path: &Path, sources: &Path) -> Option<String> {
    let name = path.strip_prefix(sources).ok()?.to_str()?;
    name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"').then(|| name.to_owned())
}

/// Some files of text, from all over a tree.
fn files(sources: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    let mut folders = vec![sources.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() && entry.file_name() != ".git" {
                folders.push(entry.path());
            } else if kind.is_file() && SIZES.contains(&entry.metadata()?.len()) {
                all.push(entry.path());
            }
        }
    }
    all.sort();
    let step = (all.len() * 3 / FILES / 4).max(1);
    let is_text = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| std::str::from_utf8(&bytes).is_ok());
    Ok(all.into_iter().step_by(step).filter(is_text).take(FILES).collect())
}
