//! Unary calls with TLS between client and gateway, and between client and proxy.

use crate::{
    call,
    house::{House, KEYWARD, PROXY},
    load::Load,
    report::Section,
    rounds,
    scenarios::unary::notes,
};
use anyhow::Result;
use std::sync::Arc;

/// 64 connections.
pub fn unary(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let (cert, key) = (house.folder().join("cert.pem"), house.folder().join("key.pem"));
    std::fs::write(&cert, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let pair = house.pair("tls", Some((&cert, &key)))?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone())?;
    let config = Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
    let mut targets = house.targets(&pair, &call::body(false, 0));
    // The mock speaks no TLS; calls to it show what the load generator and the mock can do.
    targets[PROXY].call.tls = Some(config.clone());
    targets[KEYWARD].call.tls = Some(config);
    let load = Load::new()?;
    let time = house.options.time();
    let rounds = rounds::take(&targets, house.options.rounds, time, |call, time| load.run(call, 64, time))?;
    notes(&rounds, report);
    report.note("CPU per call ÷ proxy", rounds.ratio(KEYWARD, PROXY, |turn| turn.cpu_us), "×");
    report.note("calls/s ÷ proxy", rounds.ratio(KEYWARD, PROXY, |turn| turn.seen.rate), "×");
    Ok(())
}
