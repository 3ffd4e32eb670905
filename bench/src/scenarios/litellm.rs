//! LiteLLM beside Keyward: the same clients spend the same budget before the same biller, in turn. Not run unless it is
//! named, since it installs LiteLLM from a package index. Without `pip` or network it says so, and that is all.

use super::overspend::{HANG_UP, Run, run, spend};
use crate::{
    books::Biller,
    house::House,
    litellm::{self, LiteLlm},
    load::Load,
    pip,
    report::Section,
    spend::Spender,
};
use anyhow::{Context, Result};

/// LiteLLM serves about a hundredth of what Keyward does: enough for it to end in time.
const CLIENTS: usize = 64;
const BUDGET: &str = "0.02";

const RUNS: &[Run] = &[
    run("caps sent", CLIENTS, BUDGET),
    Run { capped: false, ..run("no caps", CLIENTS, BUDGET) },
    Run { kinds: &[HANG_UP], ..run("hang-ups only", CLIENTS, BUDGET) },
    Run { kinds: &[HANG_UP], capped: false, ..run("hang-ups, no caps", CLIENTS, BUDGET) },
];

/// All runs with each.
pub fn beside(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    let version = &house.options.litellm;
    let installed = match pip::install("litellm[proxy]", version) {
        Ok(folder) => folder,
        Err(error) => {
            println!("  LiteLLM {version} cannot be installed here, so there is nothing to compare: {error:#}");
            return Ok(());
        }
    };
    let biller = Biller::start()?;
    let (keyward, _) = house.apart("litellm-keyward", biller.address)?;
    let other = LiteLlm::start(&installed, &house.folder().join("litellm"), biller.address)?;
    let load = Load::new()?;
    for run in RUNS {
        let name = run.name.replace([' ', ','], "");
        let ours = Spender {
            address: keyward.gateway,
            key: keyward.key(&name, &format!("{} USD/total", run.budget))?,
            ..run.spender()
        };
        let theirs = Spender {
            address: other.address,
            path: litellm::PATH,
            key: litellm::key(&name, run.budget),
            ..run.spender()
        };
        for (who, spender) in [("Keyward", ours), ("LiteLLM", theirs)] {
            let spent = spend(&biller, &load, run, spender)
                .with_context(|| format!("{who}, {}\n{}\n{}", run.name, keyward.log(), other.said()))?;
            let share = |billed: u64| 100.0 * billed as f64 / run.limit();
            let label = |what: &str| format!("{}: {who}, {what}", run.name);
            report.note(&label("billed of the budget, sent"), share(spent.sent), "%");
            report.note(&label("billed of the budget, full"), share(spent.full), "%");
            report.note(&label("calls answered"), spent.answered as f64, "");
            println!("  {}", spent.words);
        }
        let standing = keyward.settled_standing(&name)?;
        let used = 100.0 * standing.spent as f64 / run.limit();
        report.note(&format!("{}: Keyward, charged in its ledger", run.name), used, "%");
    }
    Ok(())
}
