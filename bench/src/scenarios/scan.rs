//! The scanner: trees beside `rg`, histories beside `git cat-file`, the start beside a program that does nothing, and
//! Kingfisher where it can be had. Time and memory are compared, not what is found.

use crate::{
    figure::Figure,
    history,
    house::House,
    job::{self, Cost, Job, Runs},
    peers,
    report::Section,
};
use anyhow::{Context, Result, ensure};
use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// How keys of AI vendors begin, and how long they are: what somebody would search for who has `rg` and no scanner. Words
/// begin and end around them, else `task-…` is a key; and all is ASCII: with the edges of Unicode `rg` takes
/// ten times as long.
const KEYS: &str = r"(?:sk-(?:proj-|svcacct-|admin-|ant-[a-z0-9]+-|or-v1-|lf-)[A-Za-z0-9_-]{20,}|sk-[A-Za-z0-9]{32,}|AIza[A-Za-z0-9_-]{35}|AQ\.Ab8RN6[A-Za-z0-9_-]{44}|hf_[A-Za-z]{34}|api_org_[A-Za-z]{34}|gsk_[A-Za-z0-9]{52}|xai-[A-Za-z0-9]{80}|r8_[A-Za-z0-9]{37}|pplx-[A-Za-z0-9]{48}|ABSK[A-Za-z0-9+/]{105,}|AKIA[A-Z2-7]{16}|sk_[a-f0-9]{48}|tgp_v1_[A-Za-z0-9_-]{43}|fw_[A-Za-z0-9]{24}|csk-[a-z0-9]{48}|nvapi-[A-Za-z0-9_-]{64}|lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}|pcsk_[A-Za-z0-9_]{60,}|tvly-[A-Za-z0-9-]{32,}|jina_[A-Za-z0-9_-]{60}|llx-[A-Za-z0-9]{48}|ghp_[A-Za-z0-9]{36})";

/// Nothing, something, and not everything could be looked at.
const SCANNED: &[i64] = &[0, 1, 3];
/// Lines, and none.
const SEARCHED: &[i64] = &[0, 1];
/// Nothing, something, something that is live.
const KINGFISHER: &[i64] = &[0, 200, 205];
/// How often a small file is scanned.
const STARTS: usize = 31;

/// A large tree of sources.
pub fn tree(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    let tree = sources(house)?;
    let bytes = size(&tree)?;
    report.note("files of the tree", bytes / 1e6, "MB");
    let mut jobs = vec![keyward(house, &["--format", "json"], &tree)];
    let rg = peers::rg();
    if let Some(rg) = &rg {
        // Without the edges, keys in the middle of words are lines, too: less is asked, and sooner answered.
        for (name, pattern) in [("rg", format!(r"(?-u)\b{KEYS}\b")), ("rg without edges", format!("(?-u){KEYS}"))] {
            let options = ["--no-config", "-uuu", "-a", "-c", "--no-messages", "-e", &pattern];
            jobs.push(Job::new(name, &words(rg, &options, &tree), SEARCHED));
        }
    }
    let kingfisher = peers::kingfisher(&house.options.kingfisher);
    jobs.extend(kingfisher.as_deref().map(|program| beside(house, program, &tree)));
    let runs = job::take(&jobs, house.options.rounds)?;
    for (index, job) in jobs.iter().enumerate() {
        rates(report, job.name, &runs, index, bytes);
    }
    if rg.is_some() {
        report.at_least("speed, of rg's with one pattern", runs.ratio(1, 0, |cost| cost.cpu_s), 0.6, "x");
        report.note("speed, of rg's without edges", runs.ratio(2, 0, |cost| cost.cpu_s), "x");
    }
    report.at_most("peak memory", runs.most(0, |cost| cost.peak_mb), 64.0, "MB");
    Ok(())
}

/// The history of a repository.
pub fn history(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    let repository = match &house.options.history {
        Some(repository) => repository.clone(),
        None => history::repository(&beside_binaries()?, &sources(house)?)?,
    };
    let bytes = unpacked(&repository)?;
    report.note("all objects, unpacked", bytes / 1e6, "MB");
    let cat = |more: &[&str]| {
        let mut words = vec![OsString::from("git"), "-C".into(), repository.clone().into()];
        words.extend(["cat-file", "--batch-all-objects", "--batch"].iter().chain(more).map(OsString::from));
        words
    };
    let mut jobs = vec![
        keyward(house, &["--git", "--format", "json"], &repository),
        Job::new("git cat-file", &cat(&[]), &[0]),
        Job::new("git cat-file --unordered", &cat(&["--unordered"]), &[0]),
    ];
    let kingfisher = peers::kingfisher(&house.options.kingfisher);
    jobs.extend(kingfisher.as_deref().map(|program| beside(house, program, &repository)));
    let runs = job::take(&jobs, house.options.rounds)?;
    for (index, job) in jobs.iter().enumerate() {
        rates(report, job.name, &runs, index, bytes);
    }
    report.at_most("processor time, of git cat-file's", runs.ratio(0, 1, |cost| cost.cpu_s), 1.6, "x");
    report.note("processor time, of unordered git cat-file's", runs.ratio(0, 2, |cost| cost.cpu_s), "x");
    report.at_most("peak memory", runs.most(0, |cost| cost.peak_mb), 200.0, "MB");
    let used = runs.of(0, |cost| cost.cpu_s / cost.wall_s);
    match std::thread::available_parallelism().map_or(1, usize::from) {
        1 => report.note("processors used", used, ""),
        some => report.at_least("processors used", used, 0.75 * some.min(2) as f64, ""),
    }
    Ok(())
}

/// One small file.
pub fn start(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    let folder = house.folder().join("small");
    fs::create_dir(&folder)?;
    fs::write(folder.join("settings.env"), "NAME=shop\nREGION=eu\n")?;
    let mut jobs = vec![keyward(house, &[], &folder), Job::new("true", &["true"], &[0])];
    let kingfisher = peers::kingfisher(&house.options.kingfisher);
    jobs.extend(kingfisher.as_deref().map(|program| beside(house, program, &folder)));
    let runs = job::take(&jobs, STARTS)?;
    let ms = |seconds: fn(&Cost) -> f64| move |cost: &Cost| seconds(cost) * 1e3;
    for (index, job) in jobs.iter().enumerate().skip(1) {
        report.note(&format!("{}: time", job.name), runs.of(index, ms(|cost| cost.wall_s)), "ms");
        report.note(&format!("{}: processor time", job.name), runs.of(index, ms(|cost| cost.cpu_s)), "ms");
    }
    report.note("keyward: processor time", runs.of(0, ms(|cost| cost.cpu_s)), "ms");
    report.at_most("time to scan one small file", runs.of(0, ms(|cost| cost.wall_s)), 15.0, "ms");
    report.note("peak memory", runs.most(0, |cost| cost.peak_mb), "MB");
    Ok(())
}

/// How fast a job was and what memory it took.
fn rates(report: &mut Section<'_>, name: &str, runs: &Runs, index: usize, bytes: f64) {
    report.note(&format!("{name}: processor time"), runs.of(index, |cost| cost.cpu_s), "s");
    let rate: Figure = runs.of(index, |cost| bytes / 1e6 / cost.cpu_s);
    report.note(&format!("{name}: speed, for each processor"), rate, "MB/s");
    report.note(&format!("{name}: peak memory"), runs.most(index, |cost| cost.peak_mb), "MB");
}

fn keyward(house: &House<'_>, options: &[&str], what: &Path) -> Job {
    let mut all = vec!["scan", "--offline", "--quiet"];
    all.extend(options);
    Job::new("keyward", &words(house.options.binary.as_ref(), &all, what), SCANNED)
}

/// Kingfisher, which must not ask the network for anything.
fn beside(house: &House<'_>, program: &OsStr, what: &Path) -> Job {
    let words = words(program, &["scan", "--no-validate", "--quiet", "--no-update-check"], what);
    Job::new("kingfisher", &words, KINGFISHER).home(house.folder().as_os_str())
}

fn words(program: &OsStr, options: &[&str], what: &Path) -> Vec<OsString> {
    let mut all = vec![program.to_owned()];
    all.extend(options.iter().map(OsString::from));
    all.push(what.into());
    all
}

/// The tree that was asked for, or the sources of packages that cargo keeps.
fn sources(house: &House<'_>) -> Result<PathBuf> {
    if let Some(tree) = &house.options.tree {
        return Ok(tree.clone());
    }
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"))).context("no home")?;
    let tree = home.join("registry/src");
    ensure!(tree.is_dir(), "{}: not there; name another tree with BENCH_TREE", tree.display());
    Ok(tree)
}

fn beside_binaries() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.parent().context("no folder")?.to_owned())
}

/// How large all files below a folder are, in bytes.
fn size(folder: &Path) -> Result<f64> {
    let mut bytes = 0.0;
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            bytes += size(&entry.path())?;
        } else if kind.is_file() {
            bytes += entry.metadata()?.len() as f64;
        }
    }
    Ok(bytes)
}

/// How large all objects of a repository are, in bytes.
fn unpacked(repository: &Path) -> Result<f64> {
    let mut list = Command::new("git");
    list.arg("-C").arg(repository).args([
        "cat-file",
        "--batch-all-objects",
        "--unordered",
        "--batch-check=%(objectsize)",
    ]);
    let output = list.output().context("git")?;
    ensure!(output.status.success(), "{}: {}", repository.display(), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.lines().filter_map(|line| line.parse::<f64>().ok()).sum())
}
