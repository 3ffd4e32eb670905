//! Core dumps and debuggers, as the system reports them after `harden::process`.

use keyward_vault::harden;

#[test]
fn the_process_is_closed_to_dumps() {
    let report = harden::process(false).expect("allowed for every user");
    assert!(report.no_core_dumps && report.not_dumpable);
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the line");
    let words: Vec<&str> = core.split_whitespace().collect();
    assert!(words.contains(&"0") && !words.contains(&"unlimited"), "{core}");
    assert_eq!(nix::sys::prctl::get_dumpable(), Ok(false));
}
