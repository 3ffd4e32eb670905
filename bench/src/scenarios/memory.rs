//! Resident memory: idle, and under open streams.

use crate::{call, house::House, load::Load, report::Section};
use anyhow::Result;
use std::time::Duration;

/// How long a server is left alone before it counts as idle.
const QUIET: Duration = Duration::from_secs(2);
const STREAMS: usize = 1_000;
/// What each of the streams would be if it were read to its end: a minute.
const SHAPE: (u32, u32) = (300, 200_000);
/// How long all of them are open when the memory is read.
const FLOWING: Duration = Duration::from_secs(5);

/// After the start.
pub fn idle(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    let keyward = house.keyward("idle", &[])?;
    keyward.process.settle(QUIET)?;
    report.at_most("resident memory", keyward.process.memory("VmRSS")?, 32.0, "MiB");
    report.note("resident memory, highest since the start", keyward.process.memory("VmHWM")?, "MiB");
    for (part, size) in keyward.process.memory_parts() {
        report.note(&format!("  {part}"), size, "MiB");
    }
    Ok(())
}

/// A thousand streams that have begun and flow.
pub fn open_streams(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    let keyward = house.keyward("open", &[])?;
    keyward.process.settle(QUIET)?;
    let before = keyward.process.memory("VmRSS")?;
    let mut call = house.call(&keyward, &call::body(true, 0));
    call.stream = Some(SHAPE);
    let (now, peak) = Load::new()?.hold(&call, STREAMS, || {
        std::thread::sleep(FLOWING);
        Ok((keyward.process.memory("VmRSS")?, keyward.process.memory("VmHWM")?))
    })?;
    report.at_most("resident memory under 1,000 open streams, peak", peak, 120.0, "MiB");
    report.note("memory per stream", (now - before) * 1024.0 / STREAMS as f64, "KiB");
    Ok(())
}
